// Questions to the listener that this page came from. All of them read.

/** What is wrong when the listener does not answer as expected. */
export class Refused extends Error {}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-cache", redirect: "error" });
  if (!answer.ok) throw new Refused((await answer.text()).trim() || `${path}: ${answer.status}`);
  return answer;
}

export const json = async (path) => (await ask(path)).json();
export const text = async (path) => (await ask(path)).text();

// What would become of a request, and why: asked of the router, which decides it with the code that serves.

import * as ask from "./ask.js";
import { el, fill, foreign, tag } from "./elements.js";

export function explain({ state }) {
  const methods = el("input", { id: "explain-method", value: "GET", required: true, spellcheck: "false", autocomplete: "off" });
  const url = el("input", { id: "explain-url", placeholder: "https://api.example.com/orders/1", required: true, spellcheck: "false", autocomplete: "off" });
  const client = el("input", { id: "explain-client", placeholder: "127.0.0.1", spellcheck: "false", autocomplete: "off" });
  const headers = el("textarea", { id: "explain-headers", rows: "3", placeholder: "name: value", spellcheck: "false" });
  const claims = el("textarea", { id: "explain-claims", rows: "3", placeholder: '{"sub": "alice", "scope": "read"}', spellcheck: "false" });
  const result = el("div", { class: "scrolled", id: "explain-result", role: "region", "aria-live": "polite", "aria-label": "Explanation" });
  const label = (text, field, kind) => el("label", { class: kind }, text, field);
  const form = el("form", { class: "ask", onsubmit: send },
    el("div", { class: "line" }, label("Method", methods, "small"), label("URL", url), label("Client's address", client, "small")),
    el("div", { class: "line" }, label("Headers, one a line", headers), label("Claims of a good token (JSON); then none is looked for", claims)),
    el("div", {}, el("button", { type: "submit" }, "Explain")));

  async function send(event) {
    event.preventDefault();
    const query = new URLSearchParams({ request: `${methods.value.trim()} ${url.value.trim()}` });
    for (const line of headers.value.split("\n").filter((one) => one.trim() !== "")) query.append("header", line);
    if (client.value.trim()) query.append("client", client.value.trim());
    if (claims.value.trim()) query.append("as", claims.value.trim());
    try {
      fill(result, told(await ask.json(`/explain?${query}`), state.reasons));
    } catch (error) {
      fill(result, el("p", { class: "banner bad", role: "alert" }, error.message));
    }
  }

  function prepare({ method, url: wanted }) {
    [methods.value, url.value] = [method, wanted];
    fill(result);
  }

  return { id: "explain", title: "Explain", element: [form, result], prepare, shown: () => url.focus(), focus: () => url.focus() };
}

function told({ route, reason, status, destination, forwarded, generation, steps }, reasons) {
  const entry = reasons[reason];
  return [
    el("p", {}, reason ? tag(`refused: ${status} ${reason}`, "bad") : tag("forwarded", "good"),
      destination && [" to ", foreign(destination)], route && [" by ", foreign(route)], el("span", { class: "quiet" }, ` in generation ${generation}`)),
    entry && el("p", {}, el("strong", {}, "Cause: "), entry.cause, " ", el("strong", {}, "Do: "), entry.remedy),
    el("h3", {}, "Steps"),
    el("ol", { class: "steps" }, steps.map((step) => el("li", {}, el("span", { class: "stage" }, step.stage), foreign(step.verdict, { class: "verdict" })))),
    forwarded && [
      el("h3", {}, "As the destination would see it"),
      el("pre", {}, [`${forwarded.method} ${forwarded.target}`, ...forwarded.headers.map(([name, value]) => `${name}: ${value}`)].join("\n")),
    ],
  ];
}

// What /metrics says, read again and again: rates and quantiles are made here from counters that only rise. A family
// that a router does not have is not shown; one that comes later (histograms by route) is found by its name and labels.

/** How many samples are kept for charts. */
export const KEPT = 180;
/** How many rates are kept of each route. */
const SPARKS = 60;

/** Families of the exposition by name: lists of labels and value. */
export function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line[0] === "#") continue;
    const space = line.lastIndexOf(" ");
    const brace = line.indexOf("{");
    const name = line.slice(0, brace < 0 || brace > space ? space : brace);
    const labels = name.length < space ? labelsOf(line.slice(brace + 1, line.lastIndexOf("}", space))) : {};
    if (!families.has(name)) families.set(name, []);
    families.get(name).push([labels, Number(line.slice(space + 1))]);
  }
  return families;
}

function labelsOf(text) {
  const labels = Object.create(null);
  for (const [, name, value] of text.matchAll(/([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.includes("\\") ? value.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one)) : value;
  }
  return labels;
}

/** The value below which that share of a histogram lies; within a bucket it is taken to be even. */
export function quantile(buckets, share) {
  const all = buckets.reduce((sum, one) => sum + one.count, 0);
  if (all === 0) return NaN;
  let [below, from] = [0, 0];
  for (const { bound, count } of buckets) {
    if (below + count >= share * all) return bound === Infinity ? from : from + (bound - from) * ((share * all - below) / count);
    [below, from] = [below + count, bound];
  }
  return from;
}

// A counter that fell belongs to a router that began anew.
const risen = (now, before) => (before === undefined || now < before ? now : now - before);

/** Counts in each bucket, from counts up to each bound. */
function bucketsOf(rows) {
  const sorted = rows.map(([labels, value]) => ({ bound: labels.le === "+Inf" ? Infinity : Number(labels.le), value }));
  sorted.sort((a, b) => a.bound - b.bound);
  return sorted;
}

function risenBuckets(now, before) {
  let [last, lastBefore] = [0, 0];
  const began = before === undefined || (now.at(-1)?.value ?? 0) < (before.at(-1)?.value ?? 0);
  return now.map(({ bound, value }, index) => {
    const old = began ? 0 : (before[index]?.value ?? 0);
    const count = Math.max(0, value - last - (old - lastBefore));
    [last, lastBefore] = [value, old];
    return { bound, count };
  });
}

/** What times of requests are called, by OpenTelemetry's name. */
const DURATION = "postern_http_server_request_duration_seconds";

const rowsOf = (families, part) => families.get(`${DURATION}_${part}`) ?? [];

/** The series of one router. */
export class Series {
  /** Of all requests: seconds after 1970 and a value each, the newest last. */
  times = [];
  rates = [];
  failures = [];
  refusals = [];
  p50 = [];
  p95 = [];
  p99 = [];
  /** Of each sample the counts by bucket. */
  heat = [];
  bounds = [];
  /** By route: rate, share of failures, mean and, where there are histograms, quantiles; `sparks` are its last rates. */
  routes = new Map();
  /** Whether there are histograms by route. */
  hasQuantiles = false;
  families = new Map();
  #before;

  /** Takes one exposition, read at that time (seconds). */
  take(text, at) {
    const families = parse(text);
    const now = { at, ...this.#totals(families) };
    const before = this.#before;
    this.#before = now;
    this.families = families;
    this.#routes(now, before);
    if (before === undefined) return;
    const took = Math.max(0.001, at - before.at);
    const heat = risenBuckets(now.buckets, before.buckets);
    const push = (series, value) => {
      series.push(value);
      if (series.length > KEPT) series.shift();
    };
    push(this.times, at);
    push(this.rates, risen(now.requests, before.requests) / took);
    push(this.failures, risen(now.failed, before.failed) / took);
    push(this.refusals, risen(now.refused, before.refused) / took);
    for (const [series, share] of [[this.p50, 0.5], [this.p95, 0.95], [this.p99, 0.99]]) push(series, quantile(heat, share));
    push(this.heat, heat.map((one) => one.count));
    this.bounds = heat.map((one) => one.bound);
  }

  /** Requests under way. */
  get underWay() {
    return this.value("postern_http_server_active_requests");
  }

  /** The value of a family, or the sum of all of its series that have these labels. */
  value(name, wanted = {}) {
    const fits = ([labels]) => Object.entries(wanted).every(([label, text]) => labels[label] === text);
    return this.families.get(name)?.filter(fits).reduce((sum, [, value]) => sum + value, 0);
  }

  /** Every series that has this label with this value: its whole name and its value. */
  labelled(label, value) {
    const found = [];
    for (const [name, rows] of this.families) {
      for (const [labels, number] of rows) {
        if (labels[label] !== value || labels.le !== undefined || name.endsWith("_bucket")) continue;
        const rest = Object.entries(labels).filter(([key]) => key !== label).map(([key, text]) => `${key}=${text}`);
        found.push([rest.length ? `${name} ${rest.join(" ")}` : name, number]);
      }
    }
    return found;
  }

  #totals(families) {
    const routes = new Map();
    const of = (id) => {
      if (!routes.has(id)) routes.set(id, { requests: 0, failed: 0, denied: 0, seconds: 0, buckets: [] });
      return routes.get(id);
    };
    for (const [labels, value] of families.get("postern_requests_total") ?? []) {
      const route = of(labels.route);
      route.requests += value;
      if (labels.status === "5xx") route.failed += value;
      if (labels.status === "4xx") route.denied += value;
    }
    // One histogram for all, or one for each route, which add up to it.
    const all = new Map();
    for (const [labels, value] of rowsOf(families, "bucket")) {
      const named = labels.route !== undefined;
      if (named) of(labels.route).buckets.push([labels, value]);
      all.set(labels.le, (all.get(labels.le) ?? 0) + value);
    }
    for (const [labels, value] of rowsOf(families, "sum")) if (labels.route !== undefined) of(labels.route).seconds += value;
    const buckets = bucketsOf([...all].map(([le, value]) => [{ le }, value]));
    const requests = buckets.at(-1)?.value ?? 0;
    const faults = families.get("postern_rejections_total") ?? [];
    const sum = (rows) => rows.reduce((all, [, value]) => all + value, 0);
    const failed = [...routes.values()].reduce((all, one) => all + one.failed, 0);
    return { routes, requests, buckets, failed, refused: sum(faults) };
  }

  #routes(now, before) {
    const took = Math.max(0.001, now.at - (before?.at ?? now.at - 1));
    for (const [id, counts] of now.routes) {
      const old = before?.routes.get(id);
      const known = this.routes.get(id) ?? { sparks: [] };
      // What was counted before the first look has no time.
      const requests = before === undefined ? 0 : risen(counts.requests, old?.requests);
      const failed = before === undefined ? 0 : risen(counts.failed, old?.failed);
      const seconds = before === undefined ? 0 : risen(counts.seconds, old?.seconds);
      counts.buckets = bucketsOf(counts.buckets);
      known.total = counts.requests;
      known.rate = requests / took;
      known.errors = requests > 0 ? failed / requests : counts.requests > 0 ? counts.failed / counts.requests : 0;
      if (requests > 0) known.mean = seconds / requests;
      else if (known.mean === undefined && counts.requests > 0) known.mean = counts.seconds / counts.requests;
      if (counts.buckets.length > 0) {
        this.hasQuantiles = true;
        // Of what came since the last look; when nothing came, what was known stays.
        const lately = risenBuckets(counts.buckets, old?.buckets);
        if (lately.some((one) => one.count > 0)) [known.p50, known.p95, known.p99] = [0.5, 0.95, 0.99].map((share) => quantile(lately, share));
      }
      if (before !== undefined) {
        known.sparks.push(known.rate);
        if (known.sparks.length > SPARKS) known.sparks.shift();
      }
      this.routes.set(id, known);
    }
    for (const id of this.routes.keys()) if (!now.routes.has(id)) this.routes.delete(id);
  }
}

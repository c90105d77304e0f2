/* The live page of a load run: asks its server for what is new, once a second, and draws it.
 * Whatever came from the target is put into the page as text, never as markup. */
"use strict";
(() => {
  const plan = JSON.parse(document.getElementById("data").textContent);
  const EVERY = 1000, POINTS = 240, TRIES = 3, SURE = 4000;
  const WIDTH = 960, LEFT = 62, RIGHT = 14, TOP = 10, BOTTOM = 26, SHADES = 8;
  const COLUMNS = ["scheduled", "sent", "completed", "requests", "errors", "throttled",
    "violations", "p50", "p90", "p99", "p999", "max"];
  const LINES = ["p999", "p99", "p90", "p50"];
  const byId = id => document.getElementById(id);

  /* --- What is known of the run --------------------------------------------------------------- */

  let run, samples = 0, said = 0, failed = 0, result = null, ending = false;
  const forget = segment => { run = {segment, width: 1, rows: [], batch: 1, bands: []}; };
  forget(0);

  /* Whether there is more to ask for at once. */
  function learn(state) {
    if (state.segment === undefined) return false;
    if (state.segment !== run.segment) {
      forget(state.segment);
      if (state.begin > 0) return true;
    }
    run.width = state.width;
    run.rows.length = Math.min(run.rows.length, state.begin);
    run.rows.push(...state.rows.map(row =>
      Object.fromEntries(COLUMNS.map((name, index) => [name, row[index]]))));
    for (; run.batch < state.batch; run.batch *= 2) {  /* batches have become twice as long */
      const halves = run.bands;
      run.bands = [];
      halves.forEach((bands, number) => {
        const whole = run.bands[number >> 1] ??= {};
        for (const [band, count] of Object.entries(bands)) whole[band] = (whole[band] ?? 0) + count;
      });
    }
    for (const [number, bands] of Object.entries(state.bands)) run.bands[number] = bands;
    return run.rows.length < state.seconds;
  }

  /* --- Figures as people write them ------------------------------------------------------------ */

  const digits = value => value >= 100 ? Math.round(value).toLocaleString("en")
    : `${Number(value.toPrecision(3))}`;
  const number = value => Number.isInteger(value) ? value.toLocaleString("en") : digits(value);
  const time = ms => ms === 0 ? "0" : ms < 1 ? `${digits(ms * 1000)} µs`
    : ms < 1000 ? `${digits(ms)} ms` : `${digits(ms / 1000)} s`;
  const clock = seconds => seconds < 120 ? `${digits(seconds)} s`
    : `${Math.floor(seconds / 60)}:${`${Math.floor(seconds % 60)}`.padStart(2, "0")}`;
  const share = (part, of) => !part ? "0" : `${Number((100 * part / (of || part)).toPrecision(3))} %`;
  const total = counts => Object.values(counts).reduce((sum, count) => sum + count, 0);

  /* --- Elements ---------------------------------------------------------------------------------- */

  function make(name, attributes = {}, ...inside) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inside);
    return element;
  }
  function draw(name, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }
  const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  function fill(name, ...inside) {
    byId(name).replaceChildren(...inside);
    byId(`${name}-section`).hidden = inside.length === 0;
  }
  /* A table in its section, which is shown if it has rows; one of as many rows keeps its elements, so
   * that it stays where a reader scrolled it. */
  function tabulate(name, head, rows) {
    const lines = byId(name).querySelectorAll("tbody tr");
    if (lines.length === rows.length) {
      rows.forEach((row, at) => row.forEach(([text, style = ""], index) => {
        write(lines[at].children[index], text);
        lines[at].children[index].className = style;
      }));
      return;
    }
    const line = (kind, row) => make("tr", {}, ...row.map(([text, style = ""]) =>
      make(kind, {class: style}, text)));
    fill(name, ...rows.length ? [make("div",
      {class: "wide", tabindex: "0", role: "group", "aria-label": name},
      make("table", {}, make("thead", {}, line("th", head.map(text => [text]))),
        make("tbody", {}, ...rows.map(row => line("td", row)))))] : []);
  }

  /* --- Charts -------------------------------------------------------------------------------------- */

  const even = (high, begin, end) => Object.assign(value => begin + (end - begin) * value / high,
    {ticks: most => {
      const rough = high / most, size = 10 ** Math.floor(Math.log10(rough));
      const step = size * [1, 2, 5, 10].find(factor => factor * size >= rough);
      return Array.from({length: Math.floor(high / step) + 1}, (_, index) => index * step);
    }});
  const logarithmic = (low, high, begin, end) => {
    const ratio = Math.log(high / low);
    const scale = value => begin + (end - begin) *
      Math.min(Math.max(Math.log(value / low) / ratio, 0), 1);
    return Object.assign(scale, {low, high, ticks: most => {
      const ticks = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1)
        for (const factor of ratio > 8 ? [1] : ratio > 3 ? [1, 3] : [1, 2, 5]) ticks.push(factor * 10 ** power);
      const inside = ticks.filter(tick => tick >= low && tick <= high);
      return inside.filter((_, index) => index % Math.ceil(inside.length / most) === 0);
    }});
  };
  const round = value => Math.round(value * 10) / 10;

  /* A line through points [x, y]; a point without a y interrupts it. */
  function line(points, x, y, style) {
    let path = "", pen = "M";
    for (const [at, value] of points) {
      if (value === null) { pen = "M"; continue; }
      path += `${pen}${round(x(at))},${round(y(value))}`;
      pen = "L";
    }
    return draw("path", {d: path, class: style});
  }
  const box = (x, y, left, low, right, high) =>
    `M${round(x(left))},${round(y(low))}H${round(x(right))}V${round(y(high))}H${round(x(left))}Z`;

  function frame(name, x, y, text, layers) {
    const svg = byId(name), bottom = svg.viewBox.baseVal.height - BOTTOM;
    const grid = y.ticks(6).flatMap(value => [
      draw("line", {class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: round(y(value)), y2: round(y(value))}),
      draw("text", {x: LEFT - 8, y: round(y(value) + 4), "text-anchor": "end"}, text(value))]);
    const times = x.ticks(8).map(value =>
      draw("text", {x: round(x(value)), y: bottom + 18, "text-anchor": "middle"}, clock(value)));
    svg.replaceChildren(...grid, ...times, ...layers,
      draw("line", {class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: bottom, y2: bottom}));
  }

  /* The seconds as at most POINTS points: counts a second, and the highest of the times. */
  function folded() {
    const whole = result || ending ? run.rows : run.rows.slice(0, -1);  /* workers report the last one yet */
    const fold = Math.max(1, Math.ceil(whole.length / POINTS)), points = [];
    for (let begin = 0; begin < whole.length; begin += fold) {
      const rows = whole.slice(begin, begin + fold), seconds = rows.length * run.width;
      const point = {begin: begin * run.width, end: (begin + rows.length) * run.width};
      point.at = (point.begin + point.end) / 2;
      COLUMNS.forEach((column, index) => {
        const values = rows.map(row => row[column]);
        point[column] = index < 7 ? values.reduce((sum, value) => sum + value, 0) / seconds
          : Math.max(...values) || null;
      });
      point.good = Math.max(point.requests - point.errors - point.throttled, 0);
      points.push(point);
    }
    return points;
  }

  /* The schedule of the plan, which is known before it is sent. */
  function planned() {
    let at = 0;
    return plan.phases.flatMap(phase => {
      const from = [at, phase.low];
      at += phase.seconds;
      return [from, [at, phase.high]];
    });
  }

  /* Where a band of the heat map begins, in ms: a band is a quarter of a doubling. */
  const edge = band => 1000 * (1 + (band & 3) / 4) * 2 ** ((band >> 2) - 127);

  /* The time, in ms, that all but one in 200 requests took; undefined before the first. */
  function least() {
    const all = {};
    for (const bands of Object.values(run.bands))
      for (const [band, count] of Object.entries(bands)) all[band] = (all[band] ?? 0) + count;
    let left = total(all) / 200;
    const found = Object.keys(all).find(band => (left -= all[band]) < 0);  /* keys ascend */
    return found && edge(Number(found));
  }

  function shade(x, y) {
    const paths = Array.from({length: SHADES}, () => "");
    run.bands.forEach((bands, index) => {
      const most = Math.max(...Object.values(bands)), seconds = run.batch * run.width;
      for (const [band, count] of Object.entries(bands)) {
        paths[Math.ceil(SHADES * Math.sqrt(count / most)) - 1] += box(x, y, index * seconds,
          edge(Number(band)), Math.min((index + 1) * seconds, x.high), edge(Number(band) + 1));
      }
    });
    return paths.map((path, index) => draw("path",
      {d: path, class: "heat", "fill-opacity": 0.04 + 0.3 * (index + 1) / SHADES, stroke: "none"}));
  }

  function charts() {
    const points = folded(), schedule = planned();
    const end = points.length ? points[points.length - 1].end : 0;
    const high = Math.max(plan.seconds ?? 0, end, 5);
    const x = Object.assign(even(high, LEFT, WIDTH - RIGHT), {high});
    const column = name => points.map(point => [point.at, point[name]]);

    const top = Math.max(1, ...schedule.map(([, rate]) => rate),
      ...points.flatMap(point => [point.scheduled, point.sent, point.good]));
    const rate = even(top * 1.06, 210 - BOTTOM, TOP), good = column("good");
    frame("rate", x, rate, number, [
      line(good.length ? [[good[0][0], 0], ...good, [good.at(-1)[0], 0]] : [], x, rate, "rate-area"),
      line(good, x, rate, "rate"), line(column("sent"), x, rate, "sent"),
      line(schedule.length ? schedule : column("scheduled"), x, rate, "scheduled")]);

    const low = (least() ?? 1) / 1.15;
    const most = Math.max(...points.map(point => point.max), low * 4) * 1.15;
    const times = logarithmic(low, points.length ? most : 1000, 300 - BOTTOM, TOP);
    frame("times", x, times, time,
      [...shade(x, times), ...LINES.map(name => line(column(name), x, times, name))]);

    byId("trouble").closest("figure").hidden =
      !points.some(point => point.errors || point.throttled || point.violations);
    const bad = even(Math.max(1, ...points.map(point => point.errors + point.throttled)) * 1.06,
      150 - BOTTOM, TOP);
    const boxes = (style, from, to) => draw("path", {class: style, stroke: "none", d: points.map(point =>
      to(point) > from(point) ? box(x, bad, point.begin, from(point), point.end, to(point)) : "").join("")});
    frame("trouble", x, bad, number, [
      boxes("error", () => 0, point => point.errors),
      boxes("throttled", point => point.errors, point => point.errors + point.throttled),
      ...points.filter(point => point.violations).map(point => draw("path", {class: "violation",
        d: `M${round(x(point.at))},${bad(0) - 7}l6,7l-6,7l-6,-7Z`}))]);
  }

  /* --- Words and figures ----------------------------------------------------------------------------- */

  function card(value, name, bad) {
    return make("div", {class: bad ? "card bad" : "card"}, make("b", {}, value), make("span", {}, name));
  }

  function figures(state) {
    const {now, so_far: all} = state, errors = total(all.errors), violations = total(all.violations);
    byId("cards").replaceChildren(
      card(`${number(now.rate)}/s`, "good answers"), card(time(now.p50), "p50 now"),
      card(time(now.p99), "p99 now"), card(number(all.requests), "requests"),
      card(share(errors, all.requests - all.throttled), "errors", errors),
      card(share(all.throttled, all.requests), "throttled"),
      card(number(violations), "violations", violations));
    const seconds = Math.round(state.seconds * state.width);
    write(byId("clock"), plan.seconds ? `${clock(seconds)} of ${clock(plan.seconds)}` : clock(seconds));
    const failures = [...Object.entries(all.errors),
      ...Object.entries(all.own_failures).map(([kind, count]) => [`${kind} (of this machine)`, count])];
    tabulate("errors", ["kind", "requests"], failures.map(([kind, count]) => [[kind], [number(count)]]));
    const observed = ({observed: value, unit}) => value === null ? "nothing measured"
      : unit === "ms" ? time(value) : `${number(value)}${unit === "%" ? " %" : unit}`;
    tabulate("objectives", ["objective", "observed", "so far it"], state.objectives.map(row =>
      [[row.objective], [observed(row)], row.held ? ["holds", "yes"] : ["does not hold", "no"]]));
  }

  /* Violations as they come, the newest first; those that are there stay as they are, perhaps open. */
  function violations(found) {
    for (const sample of found) {
      const about = ` at ${Math.max(sample.at, 0).toFixed(1)} s${sample.requirement ? `, ${sample.requirement}` : ""}`;
      byId("violations").prepend(make("details", {}, make("summary", {}, make("code", {}, sample.kind),
        ` ${sample.message}`, make("span", {class: "small"}, about)), make("pre", {tabindex: "0"}, sample.exchange)));
      byId("violations-section").hidden = false;
    }
    samples += found.length;
  }

  function lines(texts) {
    if (texts.length !== said)
      fill("said", make("ul", {class: "reasons"}, ...texts.map(text => make("li", {}, text))));
    said = texts.length;
  }

  function word(text, style = "") {
    byId("state").className = `verdict ${style}`.trim();
    write(byId("state"), text);
  }

  function over(found) {
    word(found.verdict, found.verdict);
    byId("reasons").className = `reasons ${found.verdict}-reasons`;
    byId("reasons").replaceChildren(...found.reasons.map(reason => make("li", {}, reason)));
    write(byId("note"), `The run is over (exit ${found.exit_code}). Its page is load.html in ${plan.folder}.`);
    byId("stop").hidden = true;
  }

  /* --- Asking ------------------------------------------------------------------------------------------ */

  async function ask() {
    try {
      const answer = await fetch(`state?second=${run.rows.length}&sample=${samples}`, {cache: "no-store"});
      if (!answer.ok) throw new Error(`${answer.status}`);
      const state = await answer.json();
      failed = 0;
      const more = learn(state);
      violations(state.samples);
      lines(state.said);
      if (more) { setTimeout(ask, 0); return; }
      result = state.result;
      if (state.segment !== undefined) { figures(state); charts(); }
      if (result) { over(result); return; }
      if (!ending) word(state.state);
      setTimeout(ask, EVERY);
    } catch {
      failed += 1;
      if (failed < TRIES) { setTimeout(ask, EVERY); return; }
      word("ended");
      write(byId("note"), `Nothing answers here any more: the run is over. Its page is load.html in ${plan.folder}.`);
      byId("stop").hidden = true;
    }
  }

  /* Two clicks, so that one by mistake ends no long run. */
  byId("stop").addEventListener("click", async event => {
    const button = event.currentTarget;
    if (!button.dataset.sure) {
      button.dataset.sure = "yes";
      write(button, "Stop it now?");
      setTimeout(() => { delete button.dataset.sure; write(button, "Stop the run"); }, SURE);
      return;
    }
    const answer = await fetch("stop", {method: "POST", headers: {[plan.header]: plan.token}}).catch(() => null);
    if (!answer?.ok) { write(byId("note"), "The run could not be stopped: open this page anew, or press Ctrl-C in its terminal."); return; }
    ending = true;
    button.hidden = true;
    word("stopping", "invalid");
  });

  charts();
  ask();
})();

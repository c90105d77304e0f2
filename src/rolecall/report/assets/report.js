/* The page of a run: filters, the evidence of a cell or a test, and the second judgement.
 * Whatever came from the target is put into the page as text, never as markup. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const {cells, tests, exchanges, run, piecesOf} = RolecallJudge.read(data);
  const byName = new Map(cells.map(cell => [cell.name, cell]));
  const byTest = new Map(tests.map(test => [test.name, test]));
  const WORDS = {passed: "passed", failed: "failed", inconclusive: "proves nothing", unseen: "cannot be judged here",
    "not-tested": "not tested", "not-applicable": "not applicable", waived: "waived", error: "error of the suite"};
  const MOST = 200; /* rows of one list */

  /* --- Making elements ------------------------------------------------------------------------ */

  /* Characters that turn a text round, or that do not show, as their numbers. */
  const HIDING = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
  const visible = text => `${text}`.replace(HIDING, sign =>
    `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

  function make(name, attributes = {}, ...inside) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inside.map(part => part instanceof Node ? part : visible(part)));
    return element;
  }
  const button = (text, action, style = "link") => {
    const made = make("button", {type: "button", class: style}, text);
    made.addEventListener("click", action);
    return made;
  };
  const state = outcome => make("span", {class: `state ${outcome}`}, WORDS[outcome] ?? outcome);

  /* A line to copy, with a button. */
  function line(text) {
    const copied = button("copy", async () => {
      try { await navigator.clipboard.writeText(text); copied.textContent = "copied"; }
      catch { getSelection().selectAllChildren(pre); copied.textContent = "selected"; }
    }, "copy");
    const pre = make("pre", {class: "curl", tabindex: "0"}, text);
    return make("div", {class: "line"}, pre, copied);
  }

  /* --- Judging again -------------------------------------------------------------------------- */

  function judgeAgain() {
    const begun = performance.now();
    const differ = [], unseen = [];
    for (const cell of cells) {
      cell.again = RolecallJudge.judge(cell, cell.pieces, run);
      const agrees = RolecallJudge.agrees(cell.outcome, cell.again.outcome);
      if (agrees === false) differ.push(cell);
      if (agrees === null) unseen.push(cell);
    }
    say(differ, unseen, performance.now() - begun);
    for (const cell of differ) cellButton(cell)?.classList.add("differs");
  }

  function say(differ, unseen, milliseconds) {
    const bad = cells.filter(cell => cell.again.outcome === "failed" && cell.outcome !== "waived");
    const claims = data.verdict === "conformant" && bad.length > 0;
    const output = document.getElementById("again");
    output.replaceChildren();
    output.classList.add(differ.length || claims ? "missed" : unseen.length ? "invalid" : "met");
    if (!differ.length && !claims && !unseen.length)
      output.append(`✓ Judged again in this browser, from the evidence alone: all ${cells.length} cells agree (${Math.ceil(milliseconds)} ms).`);
    if (differ.length) {
      output.append(`✕ Judged again in this browser: ${differ.length} of ${cells.length} cells differ from the verdict. `);
      output.append(...differ.slice(0, MOST).map(cell => button(cell.name, () => openCell(cell))));
    }
    if (claims) output.append(` The verdict says conformant, and ${bad.length} cells fail. `);
    if (unseen.length) output.append(` ${unseen.length} of ${cells.length} cells rest on bodies that are cut here; evidence.har has more of them.`);
  }

  /* --- The heat map --------------------------------------------------------------------------- */

  const grid = [...document.querySelectorAll(".matrix tr.operation")].map(row => [...row.querySelectorAll("button.cell")]);
  const buttons = new Map(grid.flat().map(element => [element.dataset.cell, element]));
  const cellButton = cell => buttons.get(cell.name);
  const MOVES = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    Home: [0, -99], End: [0, 99], PageUp: [-10, 0], PageDown: [10, 0]};

  function enter(element) {
    for (const other of buttons.values()) other.tabIndex = -1;
    element.tabIndex = 0;
    element.focus();
  }
  grid.flat().forEach((element, index) => { element.tabIndex = index ? -1 : 0; });
  grid.forEach((row, y) => row.forEach((element, x) => {
    element.addEventListener("click", () => openCell(byName.get(element.dataset.cell)));
    element.addEventListener("keydown", event => {
      const move = MOVES[event.key];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const clamp = (value, length) => Math.max(0, Math.min(value, length - 1));
      const to = grid[clamp(y + move[0], grid.length)];
      enter(to[clamp(x + move[1], to.length)]);
    });
  }));

  /* --- The sheet with evidence ---------------------------------------------------------------- */

  const sheet = document.getElementById("sheet");
  const body = document.getElementById("sheet-body");

  function open(kind, title, ...content) {
    document.getElementById("sheet-kind").textContent = visible(kind);
    document.getElementById("sheet-title").textContent = visible(title);
    body.replaceChildren(...content.filter(Boolean));
    if (!sheet.open) sheet.showModal();
    sheet.scrollTop = 0;
  }
  document.getElementById("sheet-close").addEventListener("click", () => sheet.close());
  sheet.addEventListener("click", event => { if (event.target === sheet) sheet.close(); });
  /* The browser itself leads the focus back, at once; this event comes later, maybe after a key. */
  sheet.addEventListener("close", () => history.replaceState(null, "", `${location.pathname}${location.search}`));

  function openCell(cell) {
    history.replaceState(null, "", `#${cell.name}`);
    const operation = run.operations[cell.operation] ?? {};
    const statuses = (cell.expected === "allow" ? operation.success : run.dialect.denied) ?? [];
    const may = cell.expected === "allow" ? "may" : "may not";
    open(`${cell.role}, ${cell.credential}`, cell.operation.replaceAll("-", " "),
      make("p", {}, state(cell.outcome), ` ${statuses.join(" or ")}: ${cell.role} ${may} ${cell.operation.replaceAll("-", " ")}`),
      cell.reason && make("p", {class: `of-${cell.outcome}`}, cell.reason),
      ...again(cell), ...evidence(cell.test));
  }

  /* What this page made of a cell: the pieces of evidence, one a line. */
  function again(cell) {
    const judged = cell.again ?? RolecallJudge.judge(cell, cell.pieces, run);
    const agrees = RolecallJudge.agrees(cell.outcome, judged.outcome);
    const says = agrees === null ? "cannot judge it" : agrees ? "agrees" : `says otherwise: ${WORDS[judged.outcome]}`;
    const rows = judged.pieces.map(piece => make("li", {},
      make("span", {class: `sign ${piece.good ? "yes" : "no"}`, "aria-label": piece.good ? "there" : "missing or wrong"}, piece.good ? "✓" : "✕"),
      make("b", {}, piece.name), make("span", {class: "says"}, piece.says)));
    return [make("h3", {}, "Evidence"), make("ul", {class: "pieces"}, ...rows),
      make("p", {class: agrees === false ? "no" : "small"}, `This page's own judgement ${says}${judged.why ? ` (${judged.why})` : ""}.`)];
  }

  function openTest(test) {
    const cell = cells.find(other => other.test === test);
    if (cell) return openCell(cell);
    open(test.requirement, test.name,
      make("p", {}, state(test.outcome)), test.reason && make("p", {class: `of-${test.outcome}`}, test.reason),
      ...evidence(test));
  }

  /* Notes, the curl line and all exchanges of a test. */
  function evidence(test) {
    if (!test) return [make("p", {class: "small"}, "No test of it was selected.")];
    const names = new Map();
    for (const [name, number] of Object.entries(test.evidence)) names.set(number, [...names.get(number) ?? [], name]);
    const numbers = [...new Set([...Object.values(test.evidence), ...test.exchanges])].sort((one, other) => one - other);
    const answer = piecesOf(test).answer ?? [...names.keys()].map(number => exchanges.get(number)).find(other => other?.curl);
    return [
      test.lookAt && make("p", {class: "small"}, `Look at: ${test.lookAt}`),
      ...test.notes.map(note => make("p", {class: "small"}, `Note: ${note}`)),
      answer?.curl && make("h3", {}, "Send it again"), answer?.curl && line(answer.curl),
      make("h3", {}, `Exchanges (${numbers.length})`),
      ...numbers.slice(0, MOST).map(number => drawn(number, names.get(number) ?? [])),
      numbers.length > MOST && make("p", {class: "small"}, `${numbers.length - MOST} more in evidence.har`),
      make("p", {class: "small"}, `${test.name}: ${test.seconds} s, ${test.tries} ${test.tries === 1 ? "try" : "tries"}`),
    ].filter(Boolean);
  }

  const pathOf = url => url.replace(/^[a-z]+:\/\/[^/]*/i, "") || url;

  function drawn(number, names) {
    const exchange = exchanges.get(number);
    const more = `rolecall show ${data.run} ${number}`;
    if (!exchange) return make("p", {class: "small"}, `exchange ${number}: ${more}`);
    const title = [`${number}  ${exchange.method} ${pathOf(exchange.url).slice(0, 300)} → ${exchange.status || exchange.error || "no answer"} `,
      make("span", {class: "small"}, `${exchange.caller}, ${exchange.milliseconds} ms`),
      ...names.map(name => make("span", {class: "piece"}, name))];
    if (!exchange.isWhole)
      return make("details", {}, make("summary", {}, ...title), make("pre", {tabindex: "0"}, more));
    return make("details", {...(names.includes("answer") && {open: ""})}, make("summary", {}, ...title),
      make("pre", {tabindex: "0"}, ...message(exchange, more)));
  }

  /* An exchange as it stood on the wire. */
  function message(exchange, more) {
    const cut = (shown, whole) => whole ? `\n... the first ${shown.length} characters of ${whole}; ${more}` : "";
    const when = new Date(exchange.started).toISOString().slice(11, 23);
    return [make("b", {}, `${exchange.method} ${exchange.url}\n`),
      `${exchange.requestHeaders.join("\n")}\n`,
      exchange.sent ? `\n${exchange.sent}${cut(exchange.sent, exchange.sentCut)}\n` : "",
      make("span", {class: "small"}, `\nsent ${when} UTC, ${exchange.milliseconds} ms\n\n`),
      make("b", {}, `${exchange.status || exchange.error || "no answer"}\n`),
      exchange.headers.join("\n"),
      exchange.body ? `\n\n${exchange.body}${cut(exchange.body, exchange.cut)}` : ""];
  }

  /* --- Requirements and filters --------------------------------------------------------------- */

  const testsOf = Map.groupBy ? Map.groupBy(tests, test => test.requirement)
    : tests.reduce((all, test) => all.set(test.requirement, [...all.get(test.requirement) ?? [], test]), new Map());
  const rows = [...document.querySelectorAll(".requirement")].map(element => {
    const own = testsOf.get(element.dataset.requirement) ?? [];
    element.addEventListener("toggle", () => list(element, own));
    return {element, outcome: element.dataset.outcome, chapter: element.closest(".chapter"),
      text: `${element.textContent} ${own.map(test => test.name).join(" ")}`.toLowerCase()};
  });

  function list(element, own) {
    const place = element.querySelector(".tests");
    if (!element.open || place.childElementCount) return;
    const items = own.slice(0, MOST).map(test =>
      make("li", {}, state(test.outcome), " ", button(test.name, () => openTest(test))));
    place.append(make("ul", {}, ...items));
    if (own.length > MOST) place.append(make("p", {class: "small"}, `${own.length - MOST} more in results.json`));
  }

  const filters = document.getElementById("filters");
  const initially = new Map(rows.map(row => [row.chapter, row.chapter.open]));

  function filter() {
    const chosen = new FormData(filters);
    const outcomes = new Set(chosen.getAll("outcome")), role = chosen.get("role");
    const words = chosen.get("text").toLowerCase().split(/\s+/).filter(Boolean);
    const says = text => words.every(word => text.includes(word));
    const isOn = outcomes.size > 0 || Boolean(role) || words.length > 0;
    let shownCells = 0, shownRows = 0;
    for (const cell of cells) {
      const fits = (!outcomes.size || outcomes.has(cell.outcome)) && (!role || cell.role === role)
        && says(`${cell.name} ${cell.operation.replaceAll("-", " ")} ${cell.test?.name ?? ""} perm-${cell.operation}`.toLowerCase());
      shownCells += fits;
      cellButton(cell)?.classList.toggle("faded", !fits);
    }
    for (const row of grid) row[0].closest("tr").hidden = isOn && row.every(element => element.classList.contains("faded"));
    const open = new Set();
    for (const {element, outcome, text, chapter} of rows) {
      const fits = (!outcomes.size || outcomes.has(outcome)) && (!role || new RegExp(`\\b${role}\\b`).test(text)) && says(text);
      shownRows += fits;
      element.hidden = !fits;
      if (fits) open.add(chapter);
    }
    for (const [chapter, was] of initially) {
      chapter.hidden = isOn && !open.has(chapter);
      chapter.open = isOn ? open.has(chapter) : was;
    }
    document.getElementById("filtered").textContent = isOn
      ? `${shownCells} of ${cells.length} cells, ${shownRows} of ${rows.length} requirements` : "";
  }
  filters.addEventListener("input", filter);
  filters.addEventListener("submit", event => event.preventDefault());

  /* --- All else ------------------------------------------------------------------------------- */

  for (const element of document.querySelectorAll("[data-test]"))
    element.addEventListener("click", () => {
      const test = byTest.get(element.dataset.test);
      if (test) openTest(test);
    });
  for (const pre of document.querySelectorAll(".finding pre.curl")) pre.parentElement.replaceWith(line(pre.textContent));
  addEventListener("beforeprint", () => initially.forEach((was, chapter) => { chapter.open = true; }));
  addEventListener("afterprint", filter);
  const fromAddress = () => {
    const cell = byName.get(decodeURIComponent(location.hash.slice(1)));
    if (cell) openCell(cell);
  };
  addEventListener("hashchange", fromAddress);
  fromAddress();
  setTimeout(judgeAgain); /* after the first picture */
})();

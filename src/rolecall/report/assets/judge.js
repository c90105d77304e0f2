/* Judges the cells of the permission table once more, in the reader's browser, from the evidence
 * alone. docs/evidence.md has the rules in words; nothing here knows what Python made of them.
 *
 * A denied cell passes with four pieces: the control (the same request succeeds for who may), the
 * answer (a refusal as specified that shows nothing), the observation (nothing was done) and alive
 * (the refused credential still authenticates). An allowed cell passes when its effect is there.
 * What lacks a piece is inconclusive: it proves nothing, for or against.
 *
 *   RolecallJudge.judge(cell, pieces, run) -> {outcome, why, pieces: [{name, good, says}]}
 *
 * cell    {operation, role, credential, expected: "allow" | "deny", subject: {thing, name, mark}}
 * pieces  by name, {number, method, url, status, caller, authorization, sent, body, cut, started,
 *         finished}: times in milliseconds, bodies as text
 * run     {operations, dialect, may(operation, role)}
 * outcome "passed", "failed", "inconclusive", or "unseen" where the page holds too little of a body
 */
"use strict";
const RolecallJudge = (() => {
  /* Statuses that say that the request is not understood, as likely as that it is refused. */
  const NOT_UNDERSTOOD = [400, 402, 404, 405, 409, 412, 415, 422, 423, 428, 501];
  const CLOCK = 2; /* milliseconds that two times may differ by because they were rounded */

  class Decided extends Error {
    constructor(outcome, why) { super(why); this.outcome = outcome; }
  }
  const failed = why => { throw new Decided("failed", why); };
  const inconclusive = why => { throw new Decided("inconclusive", why); };

  /* --- What an answer says ------------------------------------------------------------------- */

  const ok = exchange => exchange.status >= 200 && exchange.status < 300;

  /* The body as JSON, undefined where it is none. Whole numbers that JavaScript would round become
   * text: they may be ids. */
  function json(exchange) {
    if (exchange.cut) throw new Decided("unseen", `the body of exchange ${exchange.number} is cut`);
    const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
    const exact = exchange.body.replace(/^\uFEFF/, "").replace(token, text =>
      /^-?\d{16,}$/.test(text) ? `"${text}"` : text);
    try { return JSON.parse(exact); } catch { return undefined; }
  }

  const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);
  const items = exchange => { const all = json(exchange); return Array.isArray(all) ? all.filter(isObject) : []; };
  const idText = value => typeof value === "string" ? value : typeof value === "number" ? `${value}` : "";

  /* The id of a thing itself, not of what it refers to. */
  const ownId = thing => isObject(thing) ? [thing.id, thing._id].map(idText).find(id => id.trim()) ?? "" : "";

  /* Every value in a document, at any depth. */
  function* walked(document) {
    yield document;
    if (document !== null && typeof document === "object")
      for (const value of Object.values(document)) yield* walked(value);
  }

  /* The letters and digits of a text, in small letters: a target may write names in its own way. */
  const bare = text => text.replace(/[^\p{L}\p{N}]+/gu, "").toLowerCase();

  /* What is looked for of a mark: its beginning that no other has, since a target may cut names short. */
  const unique = mark => bare(mark).match(/^rolecall\d{14}[0-9a-f]{6}\d+[a-z]|.*/)[0];

  const bears = (document, mark) =>
    [...walked(document)].some(value => typeof value === "string" && bare(value).includes(unique(mark)));

  /* Whether an answer shows a thing: its id as an id, or its name anywhere. */
  function shows(exchange, {thing, name}) {
    if (!thing) return false;
    const ids = [...walked(json(exchange))].filter(isObject).flatMap(inner => [inner.id, inner._id]);
    return ids.map(idText).includes(thing) || (Boolean(name) && exchange.body.includes(name));
  }

  /* A header's value, and what it stands for where it is percent-encoded or base64. */
  function* readings(value) {
    yield value;
    try { yield decodeURIComponent(value); } catch { /* it is not encoded */ }
    for (const [piece] of value.matchAll(/[\w+/-]{16,}/g))
      try { yield atob(piece.replace(/-/g, "+").replace(/_/g, "/")); } catch { /* it is not base64 */ }
  }

  /* Headers that say where a thing is, or which state of it this is: that is no part of it. */
  const ABOUT = /^(?:link|location|content-location|etag):/i;

  /* Whether a header shows a thing by its name, which the request did not say itself. */
  function isInHeaders(exchange, {name}) {
    const said = [...readings(exchange.url), exchange.sent ?? ""];
    if (!name || said.some(text => text.includes(name))) return false;
    return (exchange.headers ?? []).some(line =>
      !ABOUT.test(line) && [...readings(line)].some(text => text.includes(name)));
  }

  /* The paths of members at which a body holds a mark. */
  function* placesOf(body, mark, path = []) {
    if (typeof body === "string" && body.includes(mark)) yield path;
    else if (isObject(body))
      for (const [member, value] of Object.entries(body)) yield* placesOf(value, mark, [...path, member]);
  }
  const at = (document, path) => path.reduce((inner, member) => isObject(inner) ? inner[member] : undefined, document);

  /* --- The four pieces ----------------------------------------------------------------------- */

  class Cell {
    constructor(cell, pieces, run) {
      Object.assign(this, {cell, pieces, run, seen: []});
      this.operation = run.operations[cell.operation];
      this.subject = cell.subject ?? {};
      this.answer = pieces.answer;
    }

    note(name, good, says) { this.seen.push({name, good, says}); }

    /* The same request succeeds for a role that may: path, body and thing are right. */
    control() {
      const control = this.pieces.control;
      const lacks = why => { this.note("control", false, why); inconclusive(`no control: ${why}`); };
      if (!control) lacks("the same request was not seen to succeed for a role that may");
      if (!ok(control)) lacks(`it was answered ${control.status}`);
      if (control.method !== this.answer.method || !this.isSamePath(control)) lacks("it is another request");
      const role = control.caller.split(" ")[0];
      if (!this.run.may(this.cell.operation, role)) lacks(`${role} is not a role that may`);
      if (["list", "fetch"].includes(this.operation.effect) && !this.isShownBy(control, "control shows"))
        lacks("it does not show the thing");
      this.note("control", true, `the same request as ${control.caller}: ${control.status}`);
    }

    isSamePath(control) {
      const asPattern = url => decodeURI(url).replace(/[^/?=&]*\d[^/?=&]*/g, "*");
      return this.operation.effect === "create"
        ? asPattern(control.url) === asPattern(this.answer.url)
        : control.url === this.answer.url;
    }

    isShownBy(exchange, elsewhere) {
      const {thing} = this.subject;
      if (ownId(json(exchange)) === thing || items(exchange).some(item => ownId(item) === thing)) return true;
      const page = this.pieces[elsewhere];
      return Boolean(page) && ok(page) && items(page).length > 0;
    }

    /* The caller's credential authenticates after the answer. */
    alive() {
      const alive = this.pieces.alive;
      const lacks = why => { this.note("alive", false, why); inconclusive(`no proof that the credential is alive: ${why}`); };
      if (!alive) lacks("nothing that it was allowed succeeded afterwards");
      if (!ok(alive)) lacks(`it was answered ${alive.status}`);
      if (alive.caller !== this.answer.caller || alive.authorization !== this.answer.authorization)
        lacks("it is another credential");
      if (alive.started + CLOCK < this.answer.finished) lacks("it was sent before the answer came");
      this.note("alive", true, `the same credential afterwards: ${alive.status}`);
    }

    /* A create was not refused for the number of what there is: who made such things before and is refused by now
     * shows that it may have been. */
    expectRoom() {
      const before = this.pieces["made before"], after = this.pieces["refused now"] ?? this.answer;
      if (this.operation.effect !== "create" || !before || !ok(before) || ok(after)) return;
      if (before.caller === after.caller && before.method === this.answer.method && this.isSamePath(before)
          && before.finished <= after.started + CLOCK)
        inconclusive(`${after.status} to ${after.caller}, who has made such things before: there may be no room for more`);
    }

    /* What a later look shows: {thing} as it stands, null where it is gone, or all {items} of a list. */
    observation() {
      const pages = Object.entries(this.pieces)
        .filter(([name]) => name.split(" ")[0] === "observation").map(([, page]) => page);
      const lacks = why => { this.note("observation", false, why); inconclusive(`no observation: ${why}`); };
      if (!pages.length) lacks("the thing was not looked at");
      if (pages.some(page => page.started + CLOCK < this.answer.finished)) lacks("it was looked at before the answer came");
      if (this.run.dialect.gone.includes(pages[0].status)) return {thing: null, items: []};
      if (!pages.every(ok)) lacks(`the look was answered ${pages.map(page => page.status).join(", ")}`);
      const document = json(pages[0]);
      if (isObject(document)) return {thing: document, items: [document]};
      const all = pages.flatMap(items);
      return {thing: all.find(item => ownId(item) === this.subject.thing) ?? null, items: all};
    }

    /* Whether the write was carried out, as the observation shows. */
    isDone() {
      const {effect, self} = this.operation, {mark} = this.subject;
      const {thing, items: all} = this.observation();
      if (effect === "delete") return thing === null;
      if (!mark || !(this.answer.sent.includes(mark) || decodeURI(this.answer.url).includes(mark)))
        inconclusive("what was sent bears no mark by which to know it");
      if (effect === "create") return all.some(item => bare(JSON.stringify(item)).includes(unique(mark)));
      if (bears(thing, mark)) return true;
      const written = [...placesOf(json({...this.answer, cut: this.answer.sentCut, body: this.answer.sent}), mark)];
      if (thing && !self && !written.some(path => (at(thing, path) ?? null) !== null))
        inconclusive("what it shows has none of the members that were written");
      return false;
    }

    /* --- The two verdicts -------------------------------------------------------------------- */

    denied() {
      const {answer, run: {dialect}, operation: {effect}} = this;
      const isEmptyList = dialect.denied_list === "empty" && effect === "list" && ok(answer)
        && (list => Array.isArray(list) && !list.length)(json(answer));
      const asSpecified = dialect.denied.includes(answer.status) || isEmptyList;
      const wrong = why => { this.note("answer", false, `${answer.status}: ${why}`); failed(`${answer.status}: ${why}`); };
      if (ok(answer) && !isEmptyList) wrong("it was allowed");
      if (answer.status >= 300 && answer.status < 400) wrong("a redirect is not a denial");
      if (answer.status >= 500) wrong("a server error is not a denial");
      if (!ok(answer) && (shows(answer, this.subject) || isInHeaders(answer, this.subject))) wrong("the refusal shows the thing");
      this.note("answer", asSpecified, `${answer.status}, which shows nothing`);
      if (!asSpecified) {
        this.control();
        this.alive();
        failed(`${answer.status} instead of ${dialect.denied.join(" or ")}`);
      }
      if (["create", "update", "delete"].includes(effect)) {
        const isDone = this.isDone();
        this.note("observation", !isDone, isDone ? "it was done all the same" : "nothing was done");
        if (isDone) failed(`${answer.status}, and it was done all the same`);
      }
      this.control();
      this.alive();
    }

    allowed() {
      const {answer, operation: {success, effect}} = this, {status} = answer;
      if (!success.includes(status)) {
        this.note("answer", false, `${status} instead of ${success.join(" or ")}`);
        if (ok(answer) || status < 400 || status >= 500) failed(`${status} instead of ${success.join(" or ")}`);
        this.alive();
        if (NOT_UNDERSTOOD.includes(status) && !(this.pieces.control && ok(this.pieces.control)))
          inconclusive(`${status}, to others as well: the operation may be done elsewhere or otherwise`);
        this.expectRoom();
        failed(`${status}: it was refused`);
      }
      this.note("answer", true, `${status}, as specified`);
      if (effect === "list" || effect === "fetch") this.expectShown();
      else {
        const isDone = this.isDone();
        this.note("observation", isDone, isDone ? "it is done" : "it is not done");
        if (!isDone) failed(`${status}, and nothing was done`);
      }
    }

    expectShown() {
      const {answer, subject: {thing, newest}} = this;
      const later = this.pieces["answer shows"];
      if (this.operation.effect === "list" && !Array.isArray(json(answer))) inconclusive("the list is not a JSON array");
      const isShown = this.operation.effect === "fetch" ? ownId(json(answer)) === thing
        : items(answer).concat(later && ok(later) ? items(later) : []).some(item => [thing, newest].includes(ownId(item)));
      this.note("observation", isShown, isShown ? "the answer shows the thing" : "the answer does not show the thing");
      if (!isShown) failed(`${answer.status} without the thing`);
    }
  }

  function judge(cell, pieces, run) {
    const judged = new Cell(cell, pieces, run);
    try {
      if (!pieces.answer || !pieces.answer.status) inconclusive("there is no answer");
      if (cell.expected === "allow") judged.allowed(); else judged.denied();
      return {outcome: "passed", why: "", pieces: judged.seen};
    } catch (decided) {
      if (!(decided instanceof Decided)) throw decided;
      return {outcome: decided.outcome, why: decided.message, pieces: judged.seen};
    }
  }

  /* Whether two verdicts say the same: that it is so, that it is not, or that nothing is proven. */
  const kind = outcome => ({passed: "passed", failed: "failed", waived: "failed"})[outcome] ?? "inconclusive";
  const agrees = (theirs, ours) => ours === "unseen" ? null : kind(theirs) === kind(ours);

  /* --- The data of a page ---------------------------------------------------------------------
   * report_page_data.py writes it; each row is a list of values, these are their names. */

  const named = (names, row) => Object.fromEntries(names.map((name, index) => [name, row[index]]));
  const CELL = ["operation", "role", "credential", "expected", "outcome", "reason", "test", "subject"];
  const TEST = ["name", "requirement", "outcome", "reason", "lookAt", "notes", "seconds", "tries", "evidence", "exchanges"];
  const LINE = ["method", "url", "status", "caller", "milliseconds"];
  const EXCHANGE = [...LINE, "started", "requestHeaders", "sent", "headers", "body", "error", "sentCut", "cut", "curl"];

  function read(data) {
    const text = place => data.texts[place];
    const exchanges = new Map();
    for (const [names, rows] of [[LINE, data.lines], [EXCHANGE, data.exchanges]])
      for (const [number, row] of Object.entries(rows)) {
        const exchange = {number: Number(number), isWhole: names === EXCHANGE, ...named(names, row)};
        for (const member of ["url", "caller", "sent", "body"])
          if (member in exchange) exchange[member] = text(exchange[member]);
        for (const member of ["requestHeaders", "headers"])
          if (member in exchange) exchange[member] = exchange[member].map(text);
        exchange.finished = exchange.started + exchange.milliseconds;
        exchange.authorization = (exchange.requestHeaders ?? []).find(line => /^authorization:/i.test(line)) ?? "";
        exchanges.set(exchange.number, exchange);
      }
    const tests = data.tests.map(row => named(TEST, row));
    const cells = data.cells.map(row => named(CELL, row));
    const allowed = new Set(cells.filter(cell => cell.expected === "allow").map(cell => `${cell.operation} ${cell.role}`));
    const run = {operations: data.operations, dialect: data.dialect,
      may: (operation, role) => allowed.has(`${operation} ${role}`)};
    const piecesOf = test => Object.fromEntries(Object.entries(test?.evidence ?? {})
      .map(([name, number]) => [name, exchanges.get(number)]).filter(([, exchange]) => exchange?.isWhole));
    for (const cell of cells) {
      cell.name = `${cell.operation}-${cell.role}-${cell.credential}`;
      cell.test = tests[cell.test];
      cell.pieces = piecesOf(cell.test);
    }
    return {cells, tests, exchanges, run, piecesOf};
  }

  return {judge, agrees, read};
})();
if (typeof module === "object") module.exports = RolecallJudge; /* for Node, where tests run it */

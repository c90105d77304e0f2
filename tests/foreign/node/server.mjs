// A small server of the chat REST API, version 2, in the manner of a Node team:
// node:http and node:crypto, everything in memory, loopback only.
//
//   node server.mjs --port 0 [--slow-hash]
//
// prints a target file (TOML) and the line "# ready", then serves until SIGTERM or until its
// standard input is closed. README.md, one folder up, lists the choices made where the
// documents leave one.

import http from 'node:http';
import { createHash, createHmac, randomBytes, randomUUID, scrypt, timingSafeEqual } from 'node:crypto';

const HOST = '127.0.0.1';
const TOKEN_SECONDS = 24 * 3600;
const REFRESH_SECONDS = 30 * 24 * 3600;
const WRONG_PASSWORDS = 5;
const LOCK_SECONDS = 60;
const PAGE = 25;
const MAX_BODY = 1024 * 1024;
const MAX_DEPTH = 32;

const argv = process.argv.slice(2);
const portAt = argv.indexOf('--port');
const PORT = portAt >= 0 ? Number(argv[portAt + 1]) : 0;
if (!Number.isInteger(PORT) || PORT < 0 || PORT > 65535) die('--port wants a number from 0 to 65535');
// The cheap cost keeps a test run quick; the slow one (about 250 ms) is what one would deploy.
const SCRYPT_COST = argv.includes('--slow-hash') ? 2 ** 16 : 2 ** 10;

// --flip fetch/users/self/guest: one cell of the permission table is wrong, for that role alone.
const flipAt = argv.indexOf('--flip');
const FLIPPED = flipAt >= 0 ? argv[flipAt + 1] : '';

const envKey = process.env.ROLECALL_SIGNING_KEY;
const SIGNING_KEY = envKey ? Buffer.from(envKey, 'utf8') : randomBytes(32);
if (SIGNING_KEY.length < 32) die('ROLECALL_SIGNING_KEY must have at least 32 bytes'); // RFC 7518, 3.2

function die(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

// ---------------------------------------------------------------- time

let clockOffset = 0; // seconds, moved by /__clock
const nowMs = () => Date.now() + clockOffset * 1000;
const now = () => Math.floor(nowMs() / 1000);
const isoNow = () => new Date(nowMs()).toISOString();

// ---------------------------------------------------------------- permissions

const ROLES = ['guest', 'agent', 'bot', 'admin']; // ascending: each includes those before it
const rank = (role) => ROLES.indexOf(role);

// The lowest scope for each row of the permission table. Its odd rows (a bot creates forms and
// may not fetch one, an agent lists contacts and may not fetch one) are meant as they stand.
const row = (list, fetch, create, update, remove) => ({ list, fetch, create, update, remove });
const TABLE = new Map(Object.entries({
  organizations: row('bot', 'bot', 'admin', 'admin', 'admin'),
  orggroups: row('bot', 'bot', 'admin', 'admin', 'admin'),
  users: row('bot', 'bot', 'admin', 'admin', 'admin'),
  conversations: row('agent', 'guest', 'agent', 'admin', 'admin'),
  messages: row('bot', 'bot', 'guest', 'bot', 'admin'),
  contacts: row('agent', 'bot', 'bot', 'bot', 'admin'),
  kbitems: row('agent', 'agent', 'agent', 'agent', 'bot'),
  forms: row('bot', 'admin', 'bot', 'bot', 'admin'),
  services: row('admin', 'admin', 'admin', 'admin', 'admin'),
}));

const may = (caller, kind, action) => caller.rank >= rank(TABLE.get(kind)[action]);

function authorise(caller, kind, action, id) {
  const self = kind === 'users' && id === caller.user.id && (action === 'fetch' || action === 'update');
  const cell = [action, kind, ...(self ? ['self'] : []), ROLES[caller.rank]].join('/');
  const allowed = (self ? caller.rank >= 0 : may(caller, kind, action)) !== (cell === FLIPPED);
  if (!allowed) throw new Problem(403, 'Your scope does not include this operation.');
}

// ---------------------------------------------------------------- errors

class Problem extends Error {
  constructor(status, detail, { headers = {}, errors } = {}) {
    super(detail);
    Object.assign(this, { status, headers, errors });
  }

  body() {
    return { type: 'about:blank', title: http.STATUS_CODES[this.status], status: this.status, detail: this.message,
      ...(this.errors && { errors: this.errors }) };
  }
}

const unauthorised = (detail, error) => new Problem(401, detail, {
  headers: { 'WWW-Authenticate': error ? `Bearer realm="chat", error="${error}"` : 'Bearer realm="chat"' },
});
const notFound = () => new Problem(404, 'There is no such resource.');
const invalid = (errors) => new Problem(422, 'The body is not acceptable: ' + errors.map((e) => e.detail).join('; '), { errors });
const oneInvalid = (member, what) => invalid([{ pointer: `/${member}`, detail: `${member} ${what}` }]);

// ---------------------------------------------------------------- what there is

const store = new Map([...TABLE.keys()].map((kind) => [kind, new Map()]));
const passwordHashes = new Map(); // by user id; apart from the users, so that no answer can show one
const apiKeys = new Map(); // by id: { id, name, scopes, createdAt, owner, hash }
const sessions = new Map(); // refresh tokens by their hash: { user, family, expires, used }
const logins = new Map(); // by e-mail: { wrong, lockedUntil, queue }

// Members of each kind. Whatever is not named here is dropped silently, and so is whatever a
// client may not set (id, createdAt, the user of a message).
const text = { ok: (v) => typeof v === 'string' && v.length <= 50_000, says: 'must be a text' };
const flag = { ok: (v) => typeof v === 'boolean', says: 'must be true or false' };
const object = { ok: (v) => v !== null && typeof v === 'object' && !Array.isArray(v), says: 'must be an object' };
const texts = { ok: (v) => Array.isArray(v) && v.every(text.ok), says: 'must be a list of texts' };
const objects = { ok: (v) => Array.isArray(v) && v.every(object.ok), says: 'must be a list of objects' };
const oneOf = (...words) => ({ ok: (v) => words.includes(v), says: `must be one of ${words.join(', ')}` });
const ref = (kind) => ({ ok: (v) => typeof v === 'string' && store.get(kind).has(v), says: `must be the id of one of the ${kind}` });
const refs = (kind) => ({ ok: (v) => Array.isArray(v) && v.every(ref(kind).ok), says: `must be a list of ids of ${kind}` });
const email = { ok: (v) => typeof v === 'string' && v.length <= 254 && /^[^\s@]+@[^\s@]+$/.test(v), says: 'must be an e-mail address' };
const password = { ok: (v) => typeof v === 'string' && v.length >= 10 && v.length <= 200, says: 'must have 10 to 200 characters' };
const required = (type) => ({ ...type, required: true });

const organization = ref('organizations');
const MEMBERS = {
  organizations: { name: required(text), displayName: text, email: text, url: text, country: text, logo: text,
    industry: text, parent: organization, tags: texts, categories: objects, whitelist: texts, meta: object },
  orggroups: { name: required(text), description: text, organizations: refs('organizations'), meta: object },
  users: { email: required(email), password, givenName: text, familyName: text, displayName: text, avatar: text,
    role: oneOf(...ROLES), status: oneOf('active', 'inactive'), organization, meta: object },
  conversations: { name: text, organization, type: oneOf('contact', 'bot', 'agent', 'system'),
    status: oneOf('queued', 'active', 'closed'), contact: ref('contacts'), category: text, touchpoint: text, tags: texts, meta: object },
  messages: { text: required(text), type: text, contentType: text, isBackchannel: flag, actions: objects, items: objects,
    touchpoint: text, meta: object },
  contacts: { organization, profile: object, conversation: ref('conversations'), meta: object },
  kbitems: { title: required(text), content: text, locale: text, tags: texts, organization },
  forms: { name: required(text), organization, fields: objects, meta: object },
  services: { name: required(text), organization, type: text, params: object, status: oneOf('unverified', 'active'), meta: object },
};
const DEFAULTS = {
  organizations: { status: 'active' }, orggroups: { organizations: [] }, users: { role: 'agent', status: 'active', avatar: '/images/avatar.png' },
  conversations: { type: 'agent', status: 'active', tags: [] }, messages: { type: 'chat', contentType: 'text/plain' },
  contacts: { profile: {} }, kbitems: {}, forms: { fields: [] }, services: { type: 'webhook', status: 'unverified', params: {} },
};

/** The acceptable members of a body; null takes an optional member away (PATCH) or is as if absent (create). */
function pick(kind, body, creating) {
  if (!object.ok(body)) throw new Problem(422, 'The body must be a JSON object.');
  const set = {};
  const gone = [];
  const errors = [];
  for (const [member, type] of Object.entries(MEMBERS[kind])) {
    const given = Object.hasOwn(body, member) ? body[member] : undefined;
    if (given === undefined || given === null) {
      if (type.required && (creating || given === null)) errors.push({ pointer: `/${member}`, detail: `${member} is required` });
      else if (given === null) gone.push(member);
    } else if (type.ok(given)) set[member] = given;
    else errors.push({ pointer: `/${member}`, detail: `${member} ${type.says}` });
  }
  if (errors.length) throw invalid(errors);
  return { set, gone };
}

function insert(kind, members) {
  const at = isoNow();
  const thing = { id: randomUUID(), ...structuredClone(DEFAULTS[kind]), ...members, createdAt: at, updatedAt: at };
  store.get(kind).set(thing.id, thing);
  return thing;
}

// ---------------------------------------------------------------- passwords, tokens, keys

const sha256 = (secret) => createHash('sha256').update(secret).digest('hex');

function derive(secret, salt, cost) {
  return new Promise((resolve, reject) => {
    // 128 * N * r bytes are needed, which is above Node's default ceiling for the slow cost
    scrypt(secret.normalize('NFC'), salt, 32, { N: cost, r: 8, p: 1, maxmem: 256 * cost * 8 }, (e, key) => (e ? reject(e) : resolve(key)));
  });
}

async function hashPassword(secret) {
  const salt = randomBytes(16);
  return `scrypt$${SCRYPT_COST}$${salt.toString('base64url')}$${(await derive(secret, salt, SCRYPT_COST)).toString('base64url')}`;
}

async function checkPassword(secret, hash) {
  const [, cost, salt, key] = hash.split('$');
  return timingSafeEqual(await derive(secret, Buffer.from(salt, 'base64url'), Number(cost)), Buffer.from(key, 'base64url'));
}

const b64json = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signature = (input) => createHmac('sha256', SIGNING_KEY).update(input).digest('base64url');

function signJwt(claims) {
  const input = `${b64json({ alg: 'HS256', typ: 'JWT' })}.${b64json(claims)}`;
  return `${input}.${signature(input)}`;
}

function verifyJwt(token) {
  const [head, claims, given] = token.split('.');
  // Compared as text: base64url has several spellings of the same bytes, and only one is ours.
  const expected = Buffer.from(signature(`${head}.${claims}`));
  const actual = Buffer.from(given);
  if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) throw unauthorised('invalid signature', 'invalid_token');
  let header, payload;
  try {
    header = JSON.parse(Buffer.from(head, 'base64url'));
    payload = JSON.parse(Buffer.from(claims, 'base64url'));
  } catch {
    throw unauthorised('invalid token', 'invalid_token');
  }
  // The header never chooses the algorithm: there is one.
  if (!object.ok(header) || header.alg !== 'HS256' || 'crit' in header || !object.ok(payload)) throw unauthorised('invalid token', 'invalid_token');
  if (!Number.isFinite(payload.exp) || typeof payload.scope !== 'string') throw unauthorised('invalid token', 'invalid_token');
  if (payload.nbf !== undefined && !(payload.nbf <= now())) throw unauthorised('invalid token', 'invalid_token');
  return payload;
}

/** Who asks, and with which scope; throws 401, or 403 for a token that was good until it expired. */
function authenticate(req) {
  const header = req.headers.authorization;
  if (!header) throw unauthorised('No authorization token was found.');
  const token = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header)?.[1];
  if (!token) throw unauthorised('invalid token', 'invalid_token');
  let user, words, key, expired = false;
  if (token.split('.').length === 3) {
    const claims = verifyJwt(token);
    user = typeof claims._id === 'string' ? store.get('users').get(claims._id) : undefined;
    words = claims.scope.split(' ');
    expired = claims.exp <= now();
  } else {
    // Found by its hash, so nothing can be learnt from how long the comparison takes.
    const hash = sha256(token);
    key = [...apiKeys.values()].find((k) => k.hash === hash);
    user = key && store.get('users').get(key.owner);
    words = key?.scopes ?? [];
  }
  if (!user || user.status !== 'active') throw unauthorised('invalid token', 'invalid_token');
  if (expired) throw new Problem(403, 'Permission Denied: the access token has expired.');
  // A scope never outlives the role that it came from: a demoted user's token shrinks at once.
  const granted = Math.max(...words.map(rank));
  return { user, key, rank: Math.min(granted, rank(user.role)) };
}

function issue(user, family = randomUUID()) {
  for (const [hash, session] of sessions) if (session.expires <= now()) sessions.delete(hash);
  const refreshToken = randomBytes(32).toString('base64url');
  sessions.set(sha256(refreshToken), { user: user.id, family, expires: now() + REFRESH_SECONDS, used: false });
  const iat = now();
  const token = signJwt({ _id: user.id, scope: user.role, iat, exp: iat + TOKEN_SECONDS, jti: randomUUID() });
  const expiresAt = new Date((iat + TOKEN_SECONDS) * 1000).toISOString();
  return { tokenType: 'Bearer', token, refreshToken, user: user.id, scope: user.role, expiresAt };
}

function dropSessions(matches) {
  for (const [hash, session] of sessions) if (matches(session)) sessions.delete(hash);
}

/** Trades a refresh token for a new pair. `owns` says whether the one who asks is its user. */
function refresh(refreshToken, owns) {
  const refused = () => unauthorised('The refresh token was refused.');
  const session = sessions.get(sha256(refreshToken));
  const user = session && store.get('users').get(session.user);
  if (!user || user.status !== 'active' || session.expires <= now() || !owns(user)) throw refused();
  if (session.used) {
    // Used twice: one of the two users of it is a thief, and we cannot tell which (RFC 9700, 4.14.2).
    dropSessions((s) => s.family === session.family);
    throw refused();
  }
  session.used = true;
  return issue(user, session.family);
}

// Something to compare with when the address is unknown, so that the answer takes as long.
const DUMMY_HASH = await hashPassword(randomBytes(16).toString('hex'));
const byEmail = (address) => [...store.get('users').values()].find((u) => u.email === address.toLowerCase());

/** Log-ins of one account run one after the other, or parallel guesses would get around the lock. */
function logIn(address, secret) {
  const name = address.toLowerCase();
  if (logins.size > 10_000) for (const [k, v] of logins) if (v.lockedUntil <= now()) logins.delete(k);
  const state = logins.get(name) ?? { wrong: 0, lockedUntil: 0, queue: Promise.resolve() };
  logins.set(name, state);
  const attempt = state.queue.then(async () => {
    if (state.lockedUntil > now()) {
      // Unknown addresses lock too: a lock must not tell who has an account.
      throw new Problem(423, 'Too many wrong passwords: the account is locked for a while.', { headers: { 'Retry-After': state.lockedUntil - now() } });
    }
    const hash = passwordHashes.get(byEmail(name)?.id);
    const right = await checkPassword(secret, hash ?? DUMMY_HASH);
    const user = byEmail(name); // again: it may have been deleted meanwhile
    if (!right || !hash || user?.status !== 'active' || passwordHashes.get(user.id) !== hash) {
      if (++state.wrong >= WRONG_PASSWORDS) Object.assign(state, { wrong: 0, lockedUntil: now() + LOCK_SECONDS });
      throw unauthorised('Invalid credentials.');
    }
    state.wrong = 0;
    return issue(user);
  });
  state.queue = attempt.catch(() => {});
  return attempt;
}

// ---------------------------------------------------------------- operations

function list(path, query, things, members) {
  const number = (name, least, fallback) => {
    if (!query.has(name)) return fallback;
    const value = query.get(name);
    if (!/^\d{1,9}$/.test(value) || Number(value) < least) throw new Problem(400, `${name} must be a whole number from ${least}.`);
    return Number(value);
  };
  const limit = Math.min(number('limit', 1, PAGE), PAGE);
  const offset = number('offset', 0, 0);
  // Filters compare members that the answers show anyway; other names are ignored.
  const known = new Set(['id', 'user', 'conversation', 'createdAt', 'updatedAt', ...members]);
  const filters = [...query].filter(([name]) => known.has(name.split('.')[0]));
  const value = (thing, name) => name.split('.').reduce((at, part) => (object.ok(at) && Object.hasOwn(at, part) ? at[part] : undefined), thing);
  const all = [...things].reverse() // newest first: a Map keeps the order of insertion
    .filter((thing) => filters.every(([name, wanted]) => String(value(thing, name) ?? '') === wanted));
  const headers = {};
  if (offset + limit < all.length) {
    const next = new URLSearchParams(query);
    next.set('limit', limit);
    next.set('offset', offset + limit);
    headers.Link = `<${base}${path}?${next}>; rel="next"`;
  }
  return { status: 200, body: all.slice(offset, offset + limit), headers };
}

const created = (kind, thing) => ({ status: 201, body: thing, headers: { Location: `/v2/${kind}/${thing.id}` } });

function checkUnique(address, exceptId) {
  const other = byEmail(address);
  if (other && other.id !== exceptId) throw new Problem(409, 'There is a user with this e-mail address already.');
}

async function createUser(caller, body) {
  const { set: { password: secret, ...members } } = pick('users', body, true);
  members.email = members.email.toLowerCase();
  checkUnique(members.email);
  const hash = secret && await hashPassword(secret);
  checkUnique(members.email); // again: another request may have been quicker than the hash
  const user = insert('users', { organization: caller.user.organization, ...members });
  if (hash) passwordHashes.set(user.id, hash);
  return created('users', user);
}

function addMessage(caller, conversation, body) {
  const { set } = pick('messages', body, true);
  return insertMessage(caller, conversation, set);
}

function insertMessage(caller, conversation, members) {
  const role = { guest: 'contact', bot: 'bot' }[caller.user.role] ?? 'agent';
  return insert('messages', { ...members, role, user: caller.user.id, conversation: conversation.id, organization: conversation.organization });
}

function createMessages(caller, conversationId, body) {
  const conversation = store.get('conversations').get(conversationId);
  if (!conversation) throw new Problem(404, 'Conversation not found');
  if (!Array.isArray(body)) return created('messages', addMessage(caller, conversation, body));
  if (body.length < 1 || body.length > PAGE) throw new Problem(422, `A list must have 1 to ${PAGE} messages.`);
  const checked = body.map((one) => pick('messages', one, true).set); // all or none
  return { status: 201, body: checked.map((set) => insertMessage(caller, conversation, set)) };
}

function createConversation(caller, body) {
  // A contact given by its profile, not by its id, is found or made along with the conversation.
  const profile = object.ok(body) && object.ok(body.contact) ? body.contact.profile : undefined;
  const { set } = pick('conversations', profile ? { ...body, contact: null, type: 'contact' } : body, true);
  const first = (body.messages === undefined ? [] : body.messages);
  if (!objects.ok(first) || first.length > PAGE) throw oneInvalid('messages', `must be a list of at most ${PAGE} messages`);
  const messages = first.map((one) => pick('messages', one, true).set);
  if (profile) {
    if (!object.ok(profile) || !['email', 'telephone'].some((m) => text.ok(profile[m]) && profile[m])) throw oneInvalid('contact', 'must have a profile with email or telephone');
    const same = (c) => ['email', 'telephone'].some((m) => profile[m] && c.profile?.[m] === profile[m]);
    let contact = [...store.get('contacts').values()].find(same);
    const running = store.get('conversations').get(contact?.conversation);
    if (running) return { status: 200, body: running };
    // The table gives contacts to bots and admins: this is no way around it for an agent.
    if (!contact) authorise(caller, 'contacts', 'create');
    contact ??= insert('contacts', { organization: set.organization ?? caller.user.organization, profile });
    set.contact = contact.id;
  }
  const participants = [{ user: caller.user.id, role: caller.user.role, active: true }];
  const conversation = insert('conversations', { organization: caller.user.organization, ...set, participants });
  if (profile) store.get('contacts').get(set.contact).conversation = conversation.id;
  for (const members of messages) insertMessage(caller, conversation, members);
  return created('conversations', conversation);
}

function create(caller, kind, body) {
  if (kind === 'users') return createUser(caller, body);
  if (kind === 'conversations') return createConversation(caller, body);
  if (kind === 'messages') {
    if (!object.ok(body) || typeof body.conversation !== 'string') throw oneInvalid('conversation', 'is required');
    return createMessages(caller, body.conversation, body);
  }
  const { set } = pick(kind, body, true);
  if (kind === 'services' && set.type !== undefined && set.type !== 'webhook') set.status ??= 'active';
  else if (kind === 'services') set.status = 'unverified'; // nobody has seen the challenge come back yet
  const home = 'organization' in MEMBERS[kind] ? { organization: caller.user.organization } : {};
  return created(kind, insert(kind, { ...home, ...set }));
}

async function update(caller, kind, id, body) {
  const things = store.get(kind);
  if (!things.has(id)) throw notFound();
  const { set, gone } = pick(kind, body, false);
  const { password: secret, ...members } = set;
  let hash;
  if (kind === 'users') {
    if (!may(caller, 'users', 'update')) {
      // Oneself, then; what only an admin may set is dropped like any member that is not for the client.
      for (const member of ['role', 'status', 'organization']) {
        delete members[member];
        if (gone.includes(member)) gone.splice(gone.indexOf(member), 1);
      }
      // A key or token narrower than its user must not be able to grow by a new password.
      const credentials = secret !== undefined || (members.email !== undefined && members.email.toLowerCase() !== caller.user.email);
      if (credentials && caller.rank < rank(caller.user.role)) throw new Problem(403, 'This token may not change how its user logs in.');
    }
    for (const member of ['role', 'status', 'password']) if (gone.includes(member)) throw oneInvalid(member, 'is required');
    if (members.email !== undefined) members.email = members.email.toLowerCase();
    if (secret !== undefined) hash = await hashPassword(secret);
    if (members.email !== undefined) checkUnique(members.email, id);
    const before = things.get(id);
    if (!before) throw notFound();
    const after = { ...before, ...members };
    if (isLastAdmin(before) && (after.role !== 'admin' || after.status !== 'active')) throw new Problem(409, 'There must be an admin.');
    if (hash) {
      passwordHashes.set(id, hash);
      dropSessions((s) => s.user === id); // a changed password ends the sessions that the old one began
    }
  }
  const before = things.get(id);
  if (kind === 'services' && (members.type ?? before.type) === 'webhook' && members.status === 'active' && before.status !== 'active') {
    throw new Problem(403, 'The URL of the webhook has not been verified.');
  }
  if (kind === 'organizations' && members.parent === id) throw oneInvalid('parent', 'must be another organization');
  // Merged at the top level; objects and lists in the body replace the stored ones.
  const after = { ...before, ...members, updatedAt: isoNow() };
  for (const member of gone) {
    delete after[member];
    if (Object.hasOwn(DEFAULTS[kind], member)) after[member] = structuredClone(DEFAULTS[kind][member]);
  }
  things.set(id, after);
  return { status: 200, body: after };
}

const isLastAdmin = (user) => user.role === 'admin' && user.status === 'active'
  && [...store.get('users').values()].filter((u) => u.role === 'admin' && u.status === 'active').length === 1;

function remove(kind, id) {
  const things = store.get(kind);
  const thing = things.get(id);
  if (!thing) throw notFound();
  if (kind === 'organizations') {
    const inside = [...store.values()].some((m) => [...m.values()].some((t) => t.organization === id || t.parent === id || (Array.isArray(t.organizations) && t.organizations.includes(id))));
    if (inside) throw new Problem(409, 'The organization is not empty: delete what is in it first.');
  }
  if (kind === 'users') {
    if (isLastAdmin(thing)) throw new Problem(409, 'There must be an admin.');
    passwordHashes.delete(id);
    dropSessions((s) => s.user === id);
    for (const key of [...apiKeys.values()]) if (key.owner === id) apiKeys.delete(key.id); // its keys act as nobody now
  }
  if (kind === 'conversations') {
    for (const message of [...store.get('messages').values()]) if (message.conversation === id) store.get('messages').delete(message.id);
    for (const contact of store.get('contacts').values()) if (contact.conversation === id) delete contact.conversation;
  }
  if (kind === 'contacts') for (const c of store.get('conversations').values()) if (c.contact === id) delete c.contact;
  things.delete(id);
  return { status: 204 };
}

// ---------------------------------------------------------------- routes

function methodNotAllowed(...allowed) {
  return new Problem(405, `Only ${allowed.join(', ')} here.`, { headers: { Allow: allowed.join(', ') } });
}

/** Log-in and both refreshes. An Authorization header on POST is ignored: clients send a stale one. */
function authToken(req, query, body) {
  if (req.method === 'GET') {
    const caller = authenticate(req);
    const given = query.getAll('refreshToken');
    if (given.length !== 1 || !given[0]) throw new Problem(400, 'The query must have one refreshToken.');
    return refresh(given[0], (user) => !caller.key && user.id === caller.user.id);
  }
  if (req.method !== 'POST') throw methodNotAllowed('GET', 'POST');
  const given = body();
  if (!object.ok(given)) throw new Problem(400, 'The body must be a JSON object.');
  const wants = (...names) => names.every((n) => typeof given[n] === 'string' && given[n] && given[n].length <= 4096);
  const byPassword = 'password' in given || 'email' in given;
  if (byPassword && ('refreshToken' in given || 'clientId' in given)) throw new Problem(400, 'Either e-mail and password, or refreshToken and clientId.');
  if (byPassword && wants('email', 'password')) return logIn(given.email, given.password);
  if (!byPassword && wants('refreshToken', 'clientId')) return refresh(given.refreshToken, (user) => user.email === given.clientId.toLowerCase());
  throw new Problem(400, 'Either e-mail and password, or refreshToken and clientId.');
}

function apiKeyRoute(req, path, query, caller, id, body) {
  const shown = ({ owner, hash, ...rest }) => rest;
  if (id === undefined ? !['GET', 'POST'].includes(req.method) : req.method !== 'DELETE') throw methodNotAllowed(...(id === undefined ? ['GET', 'POST'] : ['DELETE']));
  if (caller.rank < rank('admin')) throw new Problem(403, 'Your scope does not include this operation.');
  if (req.method === 'GET') return list(path, query, [...apiKeys.values()].map(shown), ['name']);
  if (req.method === 'DELETE') {
    if (!apiKeys.delete(id)) throw notFound();
    return { status: 204 };
  }
  const given = body();
  const scopes = object.ok(given) ? given.scopes : undefined;
  if (!Array.isArray(scopes) || !scopes.length || scopes.length > ROLES.length || !scopes.every((s) => ROLES.includes(s))) {
    throw oneInvalid('scopes', `is required: a list of one or more of ${ROLES.join(', ')}`);
  }
  const key = randomBytes(24).toString('hex');
  const record = addKey(caller.user.id, key, [...new Set(scopes)], text.ok(given.name) ? given.name : undefined);
  return { status: 201, body: { ...shown(record), key } }; // the only time that the key is shown
}

function addKey(owner, key, scopes, name) {
  const record = { id: randomUUID(), ...(name !== undefined && { name }), scopes, createdAt: isoNow(), owner, hash: sha256(key) };
  apiKeys.set(record.id, record);
  return record;
}

/** For tests only, which is why it shows hashes without asking who wants them. */
function census() {
  const things = Object.fromEntries([...store].map(([kind, all]) => [kind, Object.fromEntries(all)]));
  things.users = Object.fromEntries(Object.entries(things.users).map(([id, u]) => [id, { ...u, passwordHash: passwordHashes.get(id) ?? null }]));
  return { clock: { offset: clockOffset }, things: { ...things, apikeys: Object.fromEntries(apiKeys) } };
}

function moveClock(given) {
  if (!object.ok(given) || !Number.isFinite(given.advance) || Math.abs(given.advance) > 1e9) throw new Problem(400, 'advance must be a number of seconds.');
  clockOffset += given.advance;
  return { status: 200, body: { offset: clockOffset, now: isoNow() } };
}

async function route(req, raw) {
  const [path, search] = req.url.split(/\?(.*)/s);
  const body = () => readJson(req, raw);
  if (path === '/__clock') {
    if (req.method !== 'POST') throw methodNotAllowed('POST');
    return moveClock(body());
  }
  if (path === '/__census') {
    if (req.method !== 'GET') throw methodNotAllowed('GET');
    return { status: 200, body: census() };
  }
  let parts;
  try {
    parts = path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw new Problem(400, 'The path is not well encoded.');
  }
  const [version, kind, id, sub] = parts;
  const query = new URLSearchParams(search ?? '');
  if (version !== 'v2' || parts.length < 2) throw notFound();
  if (path === '/v2/auth/token') {
    return { status: 200, body: await authToken(req, query, body), headers: { Pragma: 'no-cache' } };
  }

  const caller = authenticate(req);
  if (kind === 'apikeys' && parts.length <= 3) return apiKeyRoute(req, path, query, caller, id, body);
  if (!TABLE.has(kind) || id === '') throw notFound();
  if (parts.length === 2) {
    if (req.method === 'GET') authorise(caller, kind, 'list');
    else if (req.method === 'POST') authorise(caller, kind, 'create');
    else throw methodNotAllowed('GET', 'POST');
    if (req.method === 'POST') return create(caller, kind, body());
    return list(path, query, store.get(kind).values(), Object.keys(MEMBERS[kind]));
  }
  if (parts.length === 4 && kind === 'conversations' && sub === 'messages') {
    if (req.method === 'GET') authorise(caller, 'messages', 'list');
    else if (req.method === 'POST') authorise(caller, 'messages', 'create');
    else throw methodNotAllowed('GET', 'POST');
    if (req.method === 'POST') return createMessages(caller, id, body());
    if (!store.get('conversations').has(id)) throw new Problem(404, 'Conversation not found');
    return list(path, query, [...store.get('messages').values()].filter((m) => m.conversation === id), Object.keys(MEMBERS.messages));
  }
  if (parts.length !== 3) throw notFound();
  const action = { GET: 'fetch', PATCH: 'update', DELETE: 'remove' }[req.method];
  if (!action) throw methodNotAllowed('GET', 'PATCH', 'DELETE');
  authorise(caller, kind, action, id);
  if (action === 'remove') return remove(kind, id);
  if (action === 'update') return update(caller, kind, id, body());
  const thing = store.get(kind).get(id);
  if (!thing) throw notFound();
  return { status: 200, body: thing };
}

// ---------------------------------------------------------------- HTTP

/** The whole body, before anything is decided: what follows is then one step that nothing interrupts. */
function readBody(req) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    req.on('data', (chunk) => {
      size += chunk.length;
      if (size <= MAX_BODY) chunks.push(chunk);
    });
    req.on('end', () => resolve(size <= MAX_BODY ? Buffer.concat(chunks) : null));
    req.on('error', reject);
  });
}

function readJson(req, raw) {
  if (raw === null) throw new Problem(413, `A body may have ${MAX_BODY} bytes.`);
  const type = (req.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (raw.length && type !== 'application/json') throw new Problem(415, 'The body must be application/json.');
  let value;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw));
  } catch {
    throw new Problem(400, 'The body is not JSON.');
  }
  // JSON.parse takes any depth, JSON.stringify does not: too deep a document could be stored and never be shown.
  let level = [value];
  for (let depth = 0; level.length; depth++) {
    if (depth > MAX_DEPTH) throw new Problem(400, 'The body is nested too deeply.');
    level = level.filter((v) => v !== null && typeof v === 'object').flatMap((v) => Object.values(v));
  }
  return value;
}

function answer(req, res, { status, body, headers = {} }, type = 'application/json') {
  const payload = body === undefined || status === 204 ? undefined : Buffer.from(JSON.stringify(body));
  res.writeHead(status, {
    'Cache-Control': 'no-store',
    ...(payload && { 'Content-Type': type, 'Content-Length': payload.length }),
    ...headers,
  });
  res.end(req.method === 'HEAD' ? undefined : payload);
}

const server = http.createServer(async (req, res) => {
  try {
    answer(req, res, await route(req, await readBody(req)));
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem(500, 'Something went wrong here.');
    if (res.headersSent || res.destroyed) return;
    if (problem.status === 500) process.stderr.write(`${error?.stack}\n`);
    answer(req, res, { status: problem.status, body: problem.body(), headers: problem.headers }, 'application/problem+json');
  }
});

// ---------------------------------------------------------------- things that are there from the start

async function seed() {
  const home = insert('organizations', { name: 'Harbour Motors', country: 'NL', meta: {} });
  const branch = insert('organizations', { name: 'Harbour Motors North', parent: home.id });
  insert('orggroups', { name: 'Dealers', organizations: [home.id, branch.id] });
  insert('orggroups', { name: 'Pilot', organizations: [branch.id] });
  const accounts = {};
  for (const name of ['guest', 'guest2', 'agent', 'bot', 'admin']) {
    accounts[name] = { email: `${name}@harbour.example`, password: `${randomBytes(15).toString('base64url')}aA1!` };
    const role = name.replace(/\d/, '');
    accounts[name].id = insert('users', { email: accounts[name].email, displayName: `${name} of Harbour`, role, organization: home.id }).id;
    passwordHashes.set(accounts[name].id, await hashPassword(accounts[name].password));
  }
  const former = insert('users', { email: 'former@harbour.example', displayName: 'A former colleague', role: 'agent', status: 'inactive', organization: branch.id });
  for (let i = 1; i <= 30; i++) { // more than a page
    insert('contacts', { organization: home.id, profile: { name: `Customer ${i}`, email: `customer${i}@mail.example` } });
  }
  for (const [i, contact] of [...store.get('contacts').values()].slice(0, 3).entries()) {
    const conversation = insert('conversations', { name: `Question ${i + 1}`, type: 'contact', contact: contact.id, organization: home.id, participants: [{ user: accounts.agent.id, role: 'agent', active: true }] });
    contact.conversation = conversation.id;
    for (const words of ['Good morning', 'Is the blue one still for sale?']) {
      insert('messages', { text: words, role: 'contact', user: former.id, conversation: conversation.id, organization: home.id });
    }
  }
  insert('kbitems', { title: 'Opening hours', content: 'Nine to five.', organization: home.id });
  insert('kbitems', { title: 'Test drives', content: 'By appointment.', organization: home.id });
  insert('forms', { name: 'Test drive', fields: [{ name: 'Date', key: 'date' }], organization: home.id });
  insert('services', { name: 'CRM hook', params: { url: 'https://crm.example/hook', secret: randomBytes(12).toString('hex'), events: [] }, organization: home.id });
  addKey(accounts.admin.id, randomBytes(24).toString('hex'), ['bot'], 'nightly export');
  return accounts;
}

const accounts = await seed();
let base;

function stop() {
  server.close(() => process.exit(0));
  server.closeAllConnections();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.stdin.on('end', stop).on('close', stop).on('error', stop).resume();

server.on('error', (error) => die(error.message));
server.listen(PORT, HOST, () => {
  base = `http://${HOST}:${server.address().port}`;
  const lines = ['[target]', 'name = "chat API on Node"', `base_url = "${base}"`];
  for (const [name, account] of Object.entries(accounts)) {
    lines.push('', `[accounts.${name}]`, `email = "${account.email}"`, `password = "${account.password}"`);
  }
  lines.push('', '[api_keys]', 'create_path = "/v2/apikeys"', '', '[expiry]', `clock_url = "${base}/__clock"`);
  if (envKey) lines.push('signing_key_env = "ROLECALL_SIGNING_KEY"');
  process.stdout.write(`${lines.join('\n')}\n# ready\n`);
});

// Drives a server with chipchat, the vendor's own client. Usage: node chipchat.cjs FOLDER < input.json
// FOLDER has chipchat in its node_modules; the input has the server's URL and two logins; what was seen is printed as JSON.
'use strict';

const path = require('node:path');
const { readFileSync } = require('node:fs');

const ChipChat = require(path.join(path.resolve(process.argv[2]), 'node_modules', 'chipchat'));
const input = JSON.parse(readFileSync(0, 'utf8'));

/** A client, and the requests that it sends: method, path and the status that came back. */
function client(login) {
    const seen = { requests: [], tokens: [] };
    const bot = new ChipChat({
        host: input.host, // without it, the client calls production
        preloadBots: false, // else it asks for resources that the specification does not name
        token: login.token,
        refreshToken: login.refreshToken,
        email: login.email,
        fetchExtensions: {
            afterResponse: [
                (response) => {
                    const { pathname, search } = new URL(response.requestUrl);
                    seen.requests.push([response.request.options.method, pathname + search, response.statusCode]);
                    return response;
                },
            ],
        },
    });
    bot.on('token', (token) => seen.tokens.push(token));
    bot.on('error', (error) => { seen.error = String(error.message || error); });
    return { bot, seen };
}

/** How a call that must fail failed. */
const failure = (promise) => promise.then(
    (value) => ({ done: value }),
    (error) => ({ status: error.statusCode, message: error.message }),
);

const advance = (seconds) => fetch(`${input.host}/__clock`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ advance: seconds }),
}).then((answer) => answer.json());

async function readAndWrite({ bot }) {
    const me = await bot.users.get(bot.auth.user);
    const users = await bot.users.list({ sort: 'email', select: 'id, email, role' });
    const guests = await bot.users.list({ role: 'guest' });
    const made = await bot.conversations.create({ name: 'seen through chipchat', organization: me.organization });
    const conversation = await bot.conversation(made.id);
    const said = await conversation.say('hello');
    await conversation.say({ text: 'and once more' });
    const messages = await bot.messages.list({ conversation: made.id });
    const renamed = await bot.conversations.update(made.id, { name: 'renamed' });
    const deleted = await bot.conversations.delete(made.id);
    const gone = await failure(bot.conversations.get(made.id));
    return { me, users, guests, made, said, messages, renamed, deleted: deleted === undefined ? null : deleted, gone };
}

async function pages({ bot, seen }) {
    const names = Array.from({ length: 25 }, (_, number) => `page ${String(number).padStart(2, '0')}`);
    for (const name of names) {
        await bot.contacts.create({ organization: bot.auth.organization, profile: { name } });
    }
    const before = seen.requests.length;
    const found = await bot.contacts.list({ sort: 'profile.name', pagination: { limit: 10, backoff: 1 } });
    return { names, found: found.map((contact) => contact.profile.name), requests: seen.requests.slice(before) };
}

async function recover({ bot, seen }) {
    const answers = [];
    for (let night = 0; night < 2; night += 1) {
        const before = seen.requests.length;
        const used = { token: bot.auth.token, refreshToken: bot.auth.refreshToken };
        await advance(25 * 3600);
        const me = await bot.users.get(bot.auth.user);
        answers.push({
            me,
            requests: seen.requests.slice(before),
            newToken: bot.auth.token !== used.token,
            newRefreshToken: bot.auth.refreshToken !== used.refreshToken,
            announced: seen.tokens.at(-1) === bot.auth.token,
            scope: bot.auth.scope,
        });
    }
    return answers;
}

async function giveUp({ bot, seen }) {
    await advance(25 * 3600);
    const before = seen.requests.length;
    const refused = await failure(bot.users.get(bot.auth.user));
    return { refused, requests: seen.requests.slice(before) };
}

(async () => {
    const admin = client(input.admin);
    const bot = client(input.bot);
    const stranger = client({ ...input.bot, refreshToken: `${input.bot.refreshToken.slice(0, -1)}` });
    const said = {
        admin: await readAndWrite(admin),
        pages: await pages(bot),
        denied: await failure(bot.bot.forms.get('0123456789abcdef01234567')),
        recovered: await recover(bot),
        strange: await giveUp(stranger),
        errors: [admin.seen.error, bot.seen.error].filter(Boolean),
    };
    process.stdout.write(JSON.stringify(said, null, 1));
})().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
});

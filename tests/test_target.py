"""The target file: defaults, and every mistake with its place and its remedy.

Longer than 400 lines because it lists every mistake of a target file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rolecall.errors import ExitCode, UsageError
from rolecall.spec.loading import load_specification
from rolecall.target import DEFAULT_RATE, Target, load_target, parse_target

ENDLESS = Path("/dev/zero")
ROLES = ("guest", "agent", "bot", "admin")
GOOD = """
[target]
base_url = "https://staging.example.org"

[accounts.guest]
email = "guest@example.org"
password = "guest-password"

[accounts.agent]
email = "agent@example.org"
password = "agent-password"

[accounts.bot]
email = "bot@example.org"
password = "bot-password"

[accounts.admin]
email = "admin@example.org"
password = "admin-password"
"""


def written(folder: Path, text: str) -> Path:
    """A target file with this text."""
    path = folder / "staging.toml"
    path.write_text(text, encoding="utf-8")
    return path


def parsed(text: str) -> Target:
    """A target file's text, read."""
    return parse_target(text, ROLES, source="staging.toml")


def mistake_in(text: str) -> UsageError:
    """The complaint about a target file's text, its readings and overrides included."""
    with pytest.raises(UsageError) as caught:
        target = parsed(text)
        spec = load_specification()
        spec.for_target(
            target.operations, spec.dialect(target.dialect, target.source), target.source
        )
    return caught.value


def with_target(line: str) -> str:
    """The good file with one more line, or another one, under [target]."""
    if line.startswith("base_url"):
        return GOOD.replace('base_url = "https://staging.example.org"', line)
    return GOOD.replace("[target]\n", f"[target]\n{line}\n")


class TestDefaults:
    """What a file that says as little as it can means."""

    def test_of_a_far_away_target(self) -> None:
        """Without a word on it, a far-away target gets twenty requests a second, eight at a time,
        for ten seconds, over checked TLS.
        """
        target = parsed(GOOD)

        assert (target.rate_limit, target.concurrency, target.timeout, target.verify_tls) == (
            DEFAULT_RATE,
            8,
            10.0,
            True,
        )
        assert target.name == "staging.example.org"
        assert target.email_domain == "example.org"
        assert not target.api_keys
        assert not target.expiry

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "127.8.9.10", "[::1]:8080"])
    def test_of_this_machine(self, host: str) -> None:
        """A server on this machine is not held back, by whatever name or address it is called."""
        assert parsed(with_target(f'base_url = "http://{host}"')).rate_limit == 0.0

    @pytest.mark.parametrize(
        "host", ["127.0.0.1.example.org", "localhost.example.org", "10.0.0.1", "[2001:db8::1]"]
    )
    def test_of_a_host_that_only_looks_like_this_machine(self, host: str) -> None:
        """A name that merely begins like the loopback's does not lift the rate limit of a real
        server.
        """
        assert parsed(with_target(f'base_url = "http://{host}"')).rate_limit == DEFAULT_RATE

    def test_are_overridden(self) -> None:
        """What the file says stands, a rate limit on this machine too."""
        text = with_target(
            'base_url = "http://127.0.0.1:1/"\nname = "mine"\nrate_limit = 5\nconcurrency = '
            "2\ntimeout = 0.5\nverify_tls = false"
        )

        target = parsed(text)

        assert (
            target.name,
            target.rate_limit,
            target.concurrency,
            target.timeout,
            target.verify_tls,
        ) == (
            "mine",
            5,
            2,
            0.5,
            False,
        )
        assert target.base_url == "http://127.0.0.1:1"  # paths begin with a slash


class TestAccounts:
    """One user per role, and their secrets."""

    def test_a_second_guest_is_a_guest(self) -> None:
        """A numbered account has the role of its name without the number."""
        target = parsed(
            GOOD + '[accounts.guest2]\nemail = "second@example.org"\npassword = "second-password"\n'
        )

        assert [*ROLES, "guest2"] == list(target.accounts)
        assert target.accounts["guest2"].role == "guest"

    def test_secrets_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """password_env, a key's _env and signing_key_env name variables; what they hold is a secret
        of the run.
        """
        for name in ("PASSWORD", "KEY", "SIGNING"):
            monkeypatch.setenv(f"TEST_{name}", f"from-the-environment-{name}")
        text = GOOD.replace('password = "bot-password"', 'password_env = "TEST_PASSWORD"')
        text += (
            '[api_keys.tokens]\nbot_env = "TEST_KEY"\nadmin = '
            '"written-down"\n[expiry]\nsigning_key_env = "TEST_SIGNING"\n'
        )

        target = parsed(text)

        assert target.accounts["bot"].password == "from-the-environment-PASSWORD"
        assert target.api_keys.tokens == {
            "bot": "from-the-environment-KEY",
            "admin": "written-down",
        }
        assert {
            ("from-the-environment-PASSWORD", "password"),
            ("from-the-environment-KEY", "key"),
            ("written-down", "key"),
            ("from-the-environment-SIGNING", "signing-key"),
            ("guest-password", "password"),
        } <= set(target.secrets)

    def test_a_key_that_can_be_guessed_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A short key of the bank is a mistake, and the message does not repeat it."""
        monkeypatch.setenv("TEST_BANK", "hunter2")

        error = mistake_in(GOOD + '[expiry]\nbank = "bank"\nbank_key_env = "TEST_BANK"\n')

        assert error.where == "staging.toml, [expiry] bank_key_env"
        assert "fewer than 16 characters" in error.what
        assert "openssl rand -base64 32" in error.hint
        assert "hunter2" not in str(error)

    def test_no_secret_is_shown_by_accident(self) -> None:
        """The repr of a target, as it stands in a traceback or an assertion, holds no password and
        no key.
        """
        text = repr(parsed(GOOD + '[api_keys.tokens]\nbot = "bot-key-itself"\n'))

        assert "-password" not in text
        assert "bot-key-itself" not in text


class TestPaths:
    """Relative paths start at the target file, wherever the command is run."""

    def test_bank_and_ca_bundle(self, tmp_path: Path) -> None:
        """The bank and the CA bundle are looked for beside the target file."""
        import certifi

        (tmp_path / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
        path = written(
            tmp_path, with_target('verify_tls = "ca.pem"') + '[expiry]\nbank = "tokens"\n'
        )

        target = load_target(path, ROLES)

        assert str(tmp_path / "ca.pem") == target.verify_tls
        assert tmp_path / "tokens" == target.expiry.bank

    def test_a_byte_order_mark_is_no_mistake(self, tmp_path: Path) -> None:
        """A file that an editor began with a byte order mark is read like any other."""
        path = tmp_path / "staging.toml"
        path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

        assert load_target(path, ROLES).accounts["guest"].password == "guest-password"


class TestOverrides:
    """What differs on a target, put over the tables."""

    def test_change_only_what_they_name(self) -> None:
        """An override of a path leaves method, body and effect of the operation as they were."""
        target = parsed(
            GOOD + '[operations.update-user-self]\npath = "/v2/me"\n[dialect]\nupdated = [202]\n'
        )
        spec = load_specification()

        operation = spec.for_target(
            target.operations, spec.dialect(target.dialect, ""), ""
        ).operations["update-user-self"]

        assert (operation.path, operation.method, operation.success) == ("/v2/me", "PATCH", (202,))
        assert operation.is_self  # though its path does not say so any more
        assert spec.operations["update-user-self"].body == operation.body


#: A mistake each: the file's text, the place that the message names, what it says, and the remedy.
MISTAKES = {
    "no TOML": (GOOD + "oops =\n", "staging.toml", "not TOML", "line "),
    "table twice": (GOOD + "[target]\n", "staging.toml", "not TOML", "twice"),
    "typo in a setting": (
        with_target("timeot = 5"),
        "[target] timeot",
        "unknown setting",
        "'timeout'",
    ),
    "typo in a needed setting": (
        GOOD.replace("base_url", "bas_url"),
        "[target] base_url",
        "missing",
        "'bas_url'",
    ),
    "typo in a table": (GOOD + "[dialects]\n", "[dialects]", "unknown setting", "'dialect'"),
    "typo in a needed table": (
        GOOD.replace("[target]", "[traget]"),
        "[target]",
        "missing",
        "'traget'",
    ),
    "typo in an account": (
        GOOD.replace('email = "bot', 'emial = "bot'),
        "[accounts.bot] email",
        "missing",
        "'emial'",
    ),
    "typo in a password": (
        GOOD.replace('password = "bot', 'pasword = "bot'),
        "[accounts.bot] pasword",
        "unknown setting",
        "'password'",
    ),
    "typo under expiry": (
        GOOD + '[expiry]\nclock = "http://127.0.0.1:1/__clock"\n',
        "[expiry] clock",
        "unknown setting",
        "'clock_url'",
    ),
    "typo under api_keys": (
        GOOD + '[api_keys]\npath = "/v2/apikeys"\n',
        "[api_keys] path",
        "unknown setting",
        "create_path, tokens",
    ),
    "no target": (
        GOOD.partition("[accounts")[1] + GOOD.partition("[accounts")[2],
        "[target]",
        "missing",
        "",
    ),
    "no URL": (GOOD.replace("base_url", "name"), "[target] base_url", "missing", ""),
    "URL of a wrong type": (
        with_target("base_url = 8080"),
        "[target] base_url",
        "a string, not a whole number",
        "",
    ),
    "URL of no web": (
        with_target('base_url = "ftp://example.org"'),
        "[target] base_url",
        "'ftp://example.org'",
        "https://host",
    ),
    "URL behind a space": (
        with_target('base_url = " https://example.org"'),
        "[target] base_url",
        "' https://example.org' is not a URL",
        "https://host",
    ),
    "URL without scheme": (
        with_target('base_url = "staging.example.org"'),
        "[target] base_url",
        "not a URL",
        "https://host",
    ),
    "URL without host": (
        with_target('base_url = "https://"'),
        "[target] base_url",
        "not a URL",
        "https://host",
    ),
    "URL with a port too high": (
        with_target('base_url = "http://host:65536"'),
        "[target] base_url",
        "not a URL",
        "https://host",
    ),
    "URL with an open bracket": (
        with_target('base_url = "http://[::1"'),
        "[target] base_url",
        "not a URL",
        "https://host",
    ),
    "URL with two dots": (
        with_target('base_url = "http://a..b"'),
        "[target] base_url",
        "not a URL",
        "https://host",
    ),
    "URL with a space": (
        with_target('base_url = "http://staging example.org"'),
        "[target] base_url",
        "not a URL",
        "https://host",
    ),
    "URL with a tab": (
        with_target('base_url = "http://staging\\t.example.org"'),
        "[target] base_url",
        "not a URL",
        "https://host",
    ),
    "URL with a query": (
        with_target('base_url = "https://example.org?a=1"'),
        "[target] base_url",
        "a query",
        "Paths are added",
    ),
    "fixture that says nothing": (
        GOOD + "[fixtures.contact]\n",
        "[fixtures] contact",
        "says nothing",
        "create = false",
    ),
    "typo under fixtures": (
        GOOD + '[fixtures.contact]\nid = "1"\ncreat = false\n',
        "[fixtures.contact] creat",
        "unknown setting",
        "'create'",
    ),
    "proxy of another kind": (
        with_target('proxy = "socks5://127.0.0.1:1080"'),
        "[target] proxy",
        "not the URL of a proxy",
        "http://host:port",
    ),
    "client certificate that is not there": (
        with_target('client_cert = "nowhere.pem"'),
        "[target] client_cert",
        "No such file",
        "",
    ),
    "client certificate of nothing": (
        with_target('client_cert = "/dev/null"'),
        "[target] client_cert",
        "not a PEM file with a certificate",
        "",
    ),
    "client key alone": (
        with_target('client_key = "key.pem"'),
        "[target] client_key",
        "client_cert is missing",
        "Give both",
    ),
    "key without a bank": (
        GOOD + '[expiry]\nbank_key_env = "PATH"\n',
        "[expiry] bank_key_env",
        "no bank",
        "Give bank",
    ),
    "number as text": (
        with_target('rate_limit = "20"'),
        "[target] rate_limit",
        "a number, not a string",
        "",
    ),
    "truth as number": (
        with_target("timeout = true"),
        "[target] timeout",
        "a number, not a boolean",
        "",
    ),
    "number as truth": (
        with_target("verify_tls = 1"),
        "[target] verify_tls",
        "true or false or a string, not a whole number",
        "",
    ),
    "half a request": (
        with_target("concurrency = 1.5"),
        "[target] concurrency",
        "a whole number, not a number",
        "",
    ),
    "a domain of two words": (
        with_target('email_domain = "example org"'),
        "[target] email_domain",
        "not a domain",
        "example.org",
    ),
    "marks for a stranger": (
        with_target("mark_attacks = true"),
        "[target] mark_attacks",
        "only a server of this machine",
        "refuse",
    ),
    "variables that are not set": (
        GOOD.replace('password = "', 'password_env = "NOT_SET_'),
        "staging.toml",
        "these environment variables are not set: NOT_SET_",
        "Export",
    ),
    "no request": (with_target("concurrency = 0"), "[target] concurrency", "at least 1", ""),
    "rate below nothing": (with_target("rate_limit = -1"), "[target] rate_limit", "at least 0", ""),
    "rate without end": (with_target("rate_limit = inf"), "[target] rate_limit", "at least 0", ""),
    "timeout of nothing": (with_target("timeout = 0"), "[target] timeout", "at least 0.1", ""),
    "timeout that is no number": (
        with_target("timeout = nan"),
        "[target] timeout",
        "at least 0.1",
        "",
    ),
    "CA bundle that is not there": (
        with_target('verify_tls = "nowhere.pem"'),
        "[target] verify_tls",
        "nowhere.pem",
        "No such file",
    ),
    "CA bundle of nothing": (
        with_target('verify_tls = ""'),
        "[target] verify_tls",
        "CA bundle",
        "",
    ),
    "account that is no table": (
        GOOD + '[accounts]\nguest2 = "x"\n',
        "[accounts] guest2",
        "a table, not a string",
        "",
    ),
    "unknown role": (
        GOOD + '[accounts.admim]\nemail = "x@y"\npassword = "x"\n',
        "[accounts] admim",
        "unknown role",
        "'admin'",
    ),
    "role of another world": (
        GOOD + "[accounts.owner]\n",
        "[accounts] owner",
        "unknown role",
        "guest, agent, bot, admin",
    ),
    "missing account": (
        GOOD.replace("accounts.bot", "accounts.guest2"),
        "[accounts] bot",
        "missing",
        "guest, agent, bot, admin",
    ),
    "one user twice": (
        GOOD.replace("agent@", "guest@"),
        "[accounts.agent] email",
        "[accounts.guest]",
        "a user of its own",
    ),
    "no password": (
        GOOD.replace('password = "bot-password"', ""),
        "[accounts] bot",
        "no password",
        "password_env",
    ),
    "two passwords": (
        GOOD.replace('password = "bot', 'password_env = "X"\npassword = "bot'),
        "[accounts.bot] password",
        "password_env",
        "one",
    ),
    "unset variable": (
        GOOD.replace('password = "bot-password"', 'password_env = "NOT_SET_ANYWHERE"'),
        "[accounts.bot] password_env",
        "NOT_SET_ANYWHERE is not set",
        "Export it",
    ),
    "unset key": (
        GOOD + '[api_keys.tokens]\nbot_env = "NOT_SET_ANYWHERE"\n',
        "[api_keys.tokens] bot_env",
        "NOT_SET_ANYWHERE",
        "Export",
    ),
    "empty key": (
        GOOD + '[api_keys.tokens]\nbot = ""\n',
        "[api_keys.tokens] bot",
        "empty",
        "bot_env",
    ),
    "key of no role": (
        GOOD + '[api_keys.tokens]\nowner = "x"\n',
        "[api_keys.tokens] owner",
        "unknown role",
        "guest, agent, bot, admin",
    ),
    "path without slash": (
        GOOD + '[api_keys]\ncreate_path = ".elsewhere.org/keys"\n',
        "[api_keys] create_path",
        "must begin with /",
        "",
    ),
    "clock elsewhere": (
        GOOD + '[expiry]\nclock_url = "__clock"\n',
        "[expiry] clock_url",
        "not a URL",
        "https://host",
    ),
    "unknown algorithm": (
        GOOD + '[expiry]\nalgorithm = "HS265"\n',
        "[expiry] algorithm",
        "unknown signature algorithm",
        "'HS256'",
    ),
    "no signature": (
        GOOD + '[expiry]\nalgorithm = "none"\n',
        "[expiry] algorithm",
        "unknown signature algorithm",
        "HS256",
    ),
    "unknown reading": (
        GOOD + "[dialect]\nexpird = [401]\n",
        "[dialect] expird",
        "unknown reading",
        "'expired'",
    ),
    "statuses that are no list": (
        GOOD + "[dialect]\nexpired = 401\n",
        "[dialect] expired",
        "a list of HTTP statuses",
        "401",
    ),
    "statuses of no HTTP": (
        GOOD + "[dialect]\ncreated = [20]\n",
        "[dialect] created",
        "a list of HTTP statuses",
        "[20]",
    ),
    "statuses of text": (
        GOOD + '[dialect]\ncreated = ["201"]\n',
        "[dialect] created",
        "a list of HTTP statuses",
        "201",
    ),
    "no statuses": (
        GOOD + "[dialect]\nexpired = []\n",
        "[dialect] expired",
        "a list of HTTP statuses",
        "[]",
    ),
    "choice that is none": (
        GOOD + '[dialect]\ndenied_list = "none"\n',
        "[dialect] denied_list",
        "status, empty",
        "none",
    ),
    "lifetime of text": (
        GOOD + '[dialect]\nlifetime = "24h"\n',
        "[dialect] lifetime",
        "whole number of seconds",
        "24h",
    ),
    "dialect that is no table": (
        "dialect = 5\n" + GOOD,
        "[dialect]",
        "a table, not a whole number",
        "",
    ),
    "unknown operation": (
        GOOD + '[operations.list-user]\npath = "/v2/u"\n',
        "[operations.list-user]",
        "unknown operation",
        "'list-users'",
    ),
    "unknown override": (
        GOOD + '[operations.list-users]\nurl = "/v2/u"\n',
        "[operations.list-users] url",
        "unknown setting",
        "",
    ),
    "override of a wrong type": (
        GOOD + "[operations.list-users]\npath = 5\n",
        "[operations.list-users] path",
        "a path",
        "5",
    ),
    "override without slash": (
        GOOD + '[operations.list-users]\npath = "v2/u"\n',
        "[operations.list-users] path",
        "must begin with /",
        "",
    ),
    "override of a wrong status": (
        GOOD + "[operations.list-users]\nsuccess = [0]\n",
        "[operations.list-users] success",
        "HTTP statuses",
        "",
    ),
    "override that refuses": (
        GOOD + "[operations.list-users]\nsuccess = [200, 403]\n",
        "[operations.list-users] success",
        "403 is not a success",
        "",
    ),
    "denial that lets in": (
        GOOD + "[dialect]\ndenied = [403, 200]\n",
        "[dialect] denied",
        "200 is not a refusal (400 to 499)",
        "",
    ),
    "expiry that is a redirect": (
        GOOD + "[dialect]\nexpired = [302]\n",
        "[dialect] expired",
        "302 is not a refusal",
        "",
    ),
    "thing that is gone and there": (
        GOOD + "[dialect]\ngone = [200]\n",
        "[dialect] gone",
        "200 is not a refusal",
        "",
    ),
    "override with a space": (
        GOOD + '[operations.list-users]\npath = "/v2/all users"\n',
        "[operations.list-users] path",
        "cannot stand in a request",
        "percent-encoded",
    ),
    "override with a line's end": (
        GOOD + '[operations.list-users]\npath = "/v2/users\\r\\nX-Role: admin"\n',
        "[operations.list-users] path",
        "cannot stand in a request",
        "percent-encoded",
    ),
    "override with a fragment": (
        GOOD + '[operations.list-users]\npath = "/v2/users#all"\n',
        "[operations.list-users] path",
        "cannot stand in a request",
        "",
    ),
    "base with letters beyond ASCII": (
        GOOD.replace("https://staging.example.org", "https://staging.example.org/\u00fcber"),
        "[target] base_url",
        "cannot stand in a request",
        "%C3%BC",
    ),
    "override with an unknown method": (
        GOOD + '[operations.list-users]\nmethod = "GTE"\n',
        "[operations.list-users] method",
        "method",
        "GET",
    ),
    "override with an unknown placeholder": (
        GOOD + '[operations.fetch-user]\npath = "/v2/u/{identifier}"\n',
        "[operations.fetch-user] path",
        "{identifier}",
        "{id}",
    ),
    "override that is no table": (
        GOOD + "[operations]\nlist-users = 5\n",
        "[operations.list-users]",
        "a table",
        "",
    ),
}


class TestMistakes:
    """A misread target file would judge another server, or the right one by wrong rules."""

    @pytest.mark.parametrize(
        ("text", "place", "what", "remedy"), list(MISTAKES.values()), ids=list(MISTAKES)
    )
    def test_each_is_named_with_place_and_remedy(
        self, text: str, place: str, what: str, remedy: str
    ) -> None:
        """The message names the file and the place in it, says what is wrong, and how it is put
        right.
        """
        error = mistake_in(text)

        assert error.exit_code == ExitCode.USAGE
        assert error.where.startswith("staging.toml")
        assert place in error.where
        assert what in error.what
        assert remedy in str(error)

    @pytest.mark.parametrize(
        "url",
        [
            "https://me:hunter2-secret@example.org",
            "ftp://hunter2-secret@x",
            "http://u:hunter2-secret@[::1",
        ],
    )
    def test_a_password_in_the_url_is_refused_and_not_repeated(self, url: str) -> None:
        """Credentials in the base URL are a mistake, and the message that says so does not show
        them.
        """
        error = mistake_in(with_target(f'base_url = "{url}"'))

        assert "must not hold a user or a password" in error.what
        assert "[accounts]" in error.hint
        assert "hunter2-secret" not in str(error)

    @pytest.mark.parametrize(
        "line",
        [
            'password = ["hunter2-secret"]',
            'password = "hunter2-secret',
            'password.is = "hunter2-secret"',
        ],
    )
    def test_a_mistyped_password_is_not_repeated(self, line: str) -> None:
        """A mistake in the line of a password is named without showing the password."""
        assert "hunter2-secret" not in str(
            mistake_in(GOOD.replace('password = "bot-password"', line))
        )

    @pytest.mark.parametrize(("end", "is_named"), [("\\n", True), ("", False)])
    def test_white_space_around_a_refused_password(self, end: str, is_named: bool) -> None:
        """Of a password that was refused it is said that white space stands around it, as where a
        file was read with its last line's end; a password is never repeated.
        """
        target = parsed(GOOD.replace('"guest-password"', f'"guest-password{end}"'))

        said = str(target.refused_log_in("guest", 401))

        assert ("White space stands around the password." in said) == is_named
        assert "guest-password" not in said

    def test_a_missing_file(self, tmp_path: Path) -> None:
        """A target file that is not there is named, with the reason."""
        with pytest.raises(
            UsageError, match=r"nowhere\.toml: the target file cannot be read: No such file"
        ):
            load_target(tmp_path / "nowhere.toml", ROLES)

    def test_a_file_without_an_end(self) -> None:
        """What does not end is read up to a bound."""
        if not ENDLESS.exists():
            pytest.skip("there is no /dev/zero here")
        with pytest.raises(UsageError, match="cannot be read: it is larger than"):
            load_target(ENDLESS, ROLES)

    def test_a_number_without_an_end(self) -> None:
        """A number of more digits than Python reads is a mistake of the file."""
        error = mistake_in(with_target(f"concurrency = {'9' * 5000}"))

        assert "a number has too many digits" in error.what

    def test_a_folder(self, tmp_path: Path) -> None:
        """A folder in the place of a target file is named, with the reason."""
        with pytest.raises(UsageError, match="cannot be read: Is a directory"):
            load_target(tmp_path, ROLES)

    def test_another_encoding(self, tmp_path: Path) -> None:
        """A file that is not UTF-8 is named, with the reason."""
        path = tmp_path / "latin.toml"
        path.write_bytes(GOOD.replace("guest-password", "gäst-password").encode("latin-1"))

        with pytest.raises(UsageError, match=r"latin\.toml: .*not UTF-8"):
            load_target(path, ROLES)

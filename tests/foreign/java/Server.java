import java.io.*;
import java.math.BigDecimal;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.security.*;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.*;
import java.util.stream.Collectors;
import javax.crypto.*;
import javax.crypto.spec.*;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * A small server of the chat REST API, version 2, in the manner of a Java team: only the JDK,
 * everything in memory, loopback only, one thread per connection.
 *
 *   java Server.java --port 0
 *
 * prints a target file (TOML) and the line "# ready", then serves until SIGTERM or until its
 * standard input is closed. README.md, one folder up, lists the choices made where the documents
 * leave one.
 */
public class Server {
    static final long TOKEN_SECONDS = 24 * 3600, REFRESH_SECONDS = 30L * 24 * 3600, GRACE_SECONDS = 10;
    static final int PBKDF2_ROUNDS = 10_000; // quick for tests; a deployment would take sixty times as many
    static final int WRONG_PER_MINUTE = 10, DEFAULT_LIMIT = 100, MAX_LIMIT = 500, MAX_BODY = 1 << 20;
    static final int IDLE_MS = 1000, REQUEST_MS = 10_000;
    static final List<String> SCOPES = List.of("guest", "agent", "bot", "admin"); // each includes those before it
    static final SecureRandom RANDOM = new SecureRandom();

    // ------------------------------------------------------------ small things

    /** Ends a request with an error: {"error": {"code", "message", ...}}. */
    static class Refusal extends RuntimeException {
        final int status;
        final Map<String, Object> error = new LinkedHashMap<>();
        final Map<String, String> headers = new LinkedHashMap<>();

        Refusal(int status, String message) {
            super(message, null, false, false);
            this.status = status;
            error.put("code", (long) status);
            error.put("message", message);
        }

        Refusal header(String name, String value) {
            headers.put(name, value);
            return this;
        }
    }

    /** What cannot be read: a token, a JSON document. */
    static class Malformed extends Exception {
        Malformed(String message) { super(message, null, false, false); }
    }

    record Request(String method, String target, Map<String, String> headers, byte[] body) {}

    record Answer(int status, Object body, Map<String, String> headers) {
        Answer(int status, Object body) { this(status, body, Map.of()); }
    }

    /** Who asks: the user, the rank of the scope in force, and whether an API key was shown. */
    record Caller(long id, Map<String, Object> user, int rank, boolean key) {}

    static Map<String, Object> map(Object... pairs) {
        Map<String, Object> result = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) result.put((String) pairs[i], pairs[i + 1]);
        return result;
    }

    static String random(int bytes) {
        byte[] b = new byte[bytes];
        RANDOM.nextBytes(b);
        return base64(b);
    }

    static String base64(byte[] bytes) { return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes); }

    static Refusal notFound() { return new Refusal(404, "Not found"); }

    static Refusal unauthorised(String message) { return new Refusal(401, message).header("WWW-Authenticate", "Bearer"); }

    static Refusal methodNotAllowed(String allowed) { return new Refusal(405, "Method not allowed").header("Allow", allowed); }

    // ------------------------------------------------------------ kinds, members, permissions

    enum Action { LIST, FETCH, CREATE, UPDATE, DELETE }

    /** One kind of resource: a row of five for the permission table, its members, and its things. */
    static class Kind {
        final String name;
        final String[] lowest; // by action
        final Map<String, String> members = new LinkedHashMap<>(); // name -> type, "!" at the end: required
        final TreeMap<Long, Map<String, Object>> things = new TreeMap<>();
        long last = 0; // every kind counts for itself, and no number is given twice

        Kind(String name, String lowest, String members) {
            this.name = name;
            this.lowest = lowest.split(" ");
            for (String member : members.split(" ")) this.members.put(member.split(":")[0], member.split(":")[1]);
        }

        boolean allows(Caller caller, Action action) { return caller.rank >= SCOPES.indexOf(lowest[action.ordinal()]); }
    }

    final Map<String, Kind> kinds = new LinkedHashMap<>();

    void kind(String name, String lowest, String members) { kinds.put(name, new Kind(name, lowest, members)); }

    /** The scopes are those of list, fetch, create, update, delete; the odd rows are the documents' own. */
    void defineKinds() {
        kind("organizations", "bot bot admin admin admin", "name:text! displayName:text email:email url:text country:text logo:text industry:text"
            + " status:active|inactive parent:@organizations tags:texts stopwords:texts whitelist:texts categories:objects meta:object");
        kind("orggroups", "bot bot admin admin admin", "name:text! organizations:@@organizations meta:object");
        kind("users", "bot bot admin admin admin", "email:email! password:password! givenName:text familyName:text name:text displayName:text"
            + " avatar:text status:active|inactive role:guest|agent|bot|admin organization:@organizations meta:object");
        kind("conversations", "agent guest agent admin admin", "name:text organization:@organizations type:contact|bot|agent|system"
            + " status:queued|active|closed contact:@contacts category:text categoryIndex:number tags:texts touchpoint:text messages:objects meta:object");
        kind("messages", "bot bot guest bot admin", "text:text! type:text contentType:text role:bot|agent|contact isBackchannel:flag delay:number"
            + " actions:objects items:objects touchpoint:text meta:object");
        kind("contacts", "agent bot bot bot admin", "profile:profile! organization:@organizations conversation:@conversations meta:object");
        kind("kbitems", "agent agent agent agent bot", "title:text! content:text! organization:@organizations tags:texts meta:object");
        kind("forms", "bot admin bot bot admin", "name:text! organization:@organizations fields:objects meta:object");
        kind("services", "admin admin admin admin admin", "name:text! organization:@organizations type:text params:object status:unverified|active meta:object");
        // Not one of the resources of the table: reached by routes of its own, for admins only.
        kind("apikeys", "admin admin admin admin admin", "scopes:scopes! name:text");
    }

    static final Set<String> PROFILE = Set.of("name", "givenName", "familyName", "email", "telephone", "locale", "address");

    /** The value as it is stored, or null if it is not of that type. Texts are never empty. */
    Object accept(String type, Object value) {
        boolean object = value instanceof Map;
        if (type.startsWith("@@")) return each(value, one -> accept(type.substring(1), one));
        if (type.startsWith("@")) {
            // Numbers in strings are taken too, as a mapper of JSON to objects would.
            Long id = value instanceof Long l ? l : value instanceof String s ? parseId(s) : null;
            return id != null && kinds.get(type.substring(1)).things.containsKey(id) ? id : null;
        }
        if (type.contains("|")) return value instanceof String s && List.of(type.split("\\|")).contains(s) ? s : null;
        return switch (type) {
            case "text" -> value instanceof String s && !s.isBlank() && s.length() <= 50_000 ? s : null;
            case "email" -> value instanceof String s && s.length() <= 254 && s.matches("[^\\s@]+@[^\\s@]+") ? s.toLowerCase(Locale.ROOT) : null;
            case "password" -> value instanceof String s && s.length() >= 12 && s.length() <= 200 ? s : null;
            case "flag" -> value instanceof Boolean ? value : null;
            case "number" -> value instanceof Long l && l >= 0 ? value : null;
            case "object" -> object ? value : null;
            case "texts" -> each(value, one -> accept("text", one));
            case "objects" -> each(value, one -> accept("object", one));
            case "scopes" -> value instanceof List<?> l && !l.isEmpty() && new ArrayList<>(SCOPES).containsAll(l) ? l.stream().distinct().toList() : null;
            case "profile" -> object && PROFILE.containsAll(((Map<?, ?>) value).keySet()) && !((Map<?, ?>) value).isEmpty()
                && ((Map<?, ?>) value).entrySet().stream().allMatch(e -> accept(e.getKey().equals("address") ? "object" : "text", e.getValue()) != null) ? value : null;
            default -> throw new IllegalStateException(type);
        };
    }

    static Object each(Object value, UnaryOperator<Object> check) {
        if (!(value instanceof List<?> list)) return null;
        List<Object> result = new ArrayList<>();
        for (Object one : list) {
            Object accepted = check.apply(one);
            if (accepted == null) return null;
            result.add(accepted);
        }
        return result;
    }

    /** The body's members, or 422 naming everything that is wrong with them. Null is no value here. */
    Map<String, Object> members(Kind kind, Map<String, Object> body, boolean creating) {
        Map<String, Object> result = new LinkedHashMap<>();
        List<Object> unknown = new ArrayList<>(), wrong = new ArrayList<>(), missing = new ArrayList<>();
        body.forEach((name, value) -> {
            String type = kind.members.get(name);
            if (type == null) {
                unknown.add(name);
                return;
            }
            Object accepted = accept(type.replace("!", ""), value);
            if (accepted == null) wrong.add(name);
            else result.put(name, accepted);
        });
        if (creating) kind.members.forEach((name, type) -> {
            if (type.endsWith("!") && !body.containsKey(name)) missing.add(name);
        });
        if (unknown.isEmpty() && wrong.isEmpty() && missing.isEmpty()) return result;
        List<String> says = new ArrayList<>();
        unknown.forEach(name -> says.add("unknown member: " + name));
        wrong.forEach(name -> says.add("not acceptable: " + name));
        missing.forEach(name -> says.add("required: " + name));
        Refusal refusal = new Refusal(422, String.join("; ", says));
        if (!unknown.isEmpty()) refusal.error.put("unknown", unknown);
        if (!wrong.isEmpty()) refusal.error.put("invalid", wrong);
        if (!missing.isEmpty()) refusal.error.put("required", missing);
        throw refusal;
    }

    static Long parseId(String text) {
        return text.matches("[1-9][0-9]{0,17}") ? Long.valueOf(text) : null;
    }

    // ------------------------------------------------------------ what there is

    /** State of a refresh token; usedAt is -1 until its first use. */
    static class Session {
        final long user, expires;
        long usedAt = -1;

        Session(long user, long expires) {
            this.user = user;
            this.expires = expires;
        }
    }

    final Map<Long, String> passwordHashes = new HashMap<>(); // apart from the users, so that no answer can show one
    final Map<String, Session> sessions = new HashMap<>(); // by the jti of the refresh token
    final Map<String, Long> keyIds = new HashMap<>(); // by the jti of the API key
    final Map<String, Deque<Long>> wrongPasswords = new HashMap<>(); // by e-mail: when, in seconds
    final byte[] signingKey;
    double clockOffset = 0;

    Server(byte[] signingKey) {
        this.signingKey = signingKey;
        defineKinds();
    }

    Instant instant() { return Instant.now().plusMillis((long) (clockOffset * 1000)); }

    long now() { return instant().getEpochSecond(); }

    String isoNow() { return instant().truncatedTo(ChronoUnit.MILLIS).toString(); }

    TreeMap<Long, Map<String, Object>> things(String kind) { return kinds.get(kind).things; }

    Map<String, Object> insert(String kind, Map<String, Object> members) {
        Kind k = kinds.get(kind);
        Map<String, Object> thing = map("id", ++k.last);
        thing.putAll(members);
        String at = isoNow();
        thing.put("createdAt", at);
        thing.put("updatedAt", at);
        k.things.put(k.last, thing);
        return thing;
    }

    // ------------------------------------------------------------ passwords and tokens

    static byte[] pbkdf2(String password, byte[] salt, int rounds) {
        try {
            return SecretKeyFactory.getInstance("PBKDF2WithHmacSHA256")
                .generateSecret(new PBEKeySpec(password.toCharArray(), salt, rounds, 256)).getEncoded();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    static String hashPassword(String password) {
        byte[] salt = new byte[16];
        RANDOM.nextBytes(salt);
        return "pbkdf2-sha256$" + PBKDF2_ROUNDS + "$" + base64(salt) + "$" + base64(pbkdf2(password, salt, PBKDF2_ROUNDS));
    }

    static boolean checkPassword(String password, String hash) {
        String[] parts = hash.split("\\$");
        byte[] actual = pbkdf2(password, Base64.getUrlDecoder().decode(parts[2]), Integer.parseInt(parts[1]));
        return MessageDigest.isEqual(actual, Base64.getUrlDecoder().decode(parts[3]));
    }

    static final String DUMMY_HASH = hashPassword(random(16)); // for unknown addresses: the answer takes as long

    String hmac(String input) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(signingKey, "HmacSHA256"));
            return base64(mac.doFinal(input.getBytes(UTF_8)));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    String sign(Map<String, Object> claims) {
        String input = base64("{\"alg\":\"HS256\",\"typ\":\"JWT\"}".getBytes(UTF_8)) + "." + base64(Json.write(claims).getBytes(UTF_8));
        return input + "." + hmac(input);
    }

    /** The claims of a token that we signed; whether it has expired is for the caller to see. */
    Map<String, Object> verify(String token) throws Malformed {
        String[] parts = token.split("\\.", -1);
        if (parts.length != 3) throw new Malformed("invalid token");
        // Compared as text: base64url has several spellings of the same bytes, and only one is ours.
        if (!MessageDigest.isEqual(hmac(parts[0] + "." + parts[1]).getBytes(UTF_8), parts[2].getBytes(UTF_8))) throw new Malformed("invalid signature");
        try {
            Object header = Json.parse(Base64.getUrlDecoder().decode(parts[0]));
            Object claims = Json.parse(Base64.getUrlDecoder().decode(parts[1]));
            // The header never chooses the algorithm: there is one.
            if (header instanceof Map<?, ?> h && "HS256".equals(h.get("alg")) && !h.containsKey("crit") && claims instanceof Map<?, ?>) {
                @SuppressWarnings("unchecked") Map<String, Object> result = (Map<String, Object>) claims;
                boolean times = result.entrySet().stream().allMatch(e -> !Set.of("exp", "nbf").contains(e.getKey()) || e.getValue() instanceof Number);
                if (times && !(result.get("nbf") instanceof Number n && n.doubleValue() > now())) return result;
            }
        } catch (IllegalArgumentException | Malformed e) {
            // as below
        }
        throw new Malformed("invalid token");
    }

    boolean expired(Map<String, Object> claims) { return claims.get("exp") instanceof Number n && n.doubleValue() <= now(); }

    Caller authenticate(Request request) {
        String header = request.headers.get("authorization");
        if (header == null) throw unauthorised("No authorization token was found");
        if (!header.regionMatches(true, 0, "Bearer ", 0, 7)) throw unauthorised("invalid token");
        Map<String, Object> claims;
        try {
            claims = verify(header.substring(7).trim());
        } catch (Malformed e) {
            throw unauthorised(e.getMessage());
        }
        // A token says what it is for. One without a word of it is an access token, as in the documents'
        // example; refresh tokens and keys always carry theirs, so neither passes for the other.
        Object grant = claims.getOrDefault("grant_type", "access_token");
        boolean key = "api_key".equals(grant);
        Map<String, Object> user = claims.get("_id") instanceof Long id ? things("users").get(id) : null;
        boolean known = user != null && "active".equals(user.get("status")) && claims.get("scope") instanceof String
            && (key ? keyIds.containsKey(claims.get("jti")) : "access_token".equals(grant) && claims.containsKey("exp"));
        if (!known) throw unauthorised("invalid token");
        if (expired(claims)) throw new Refusal(403, "Permission Denied");
        int granted = Arrays.stream(((String) claims.get("scope")).split(" ")).mapToInt(SCOPES::indexOf).max().orElse(-1);
        // A scope never outlives the role that it came from: a demoted user's token shrinks at once.
        return new Caller((Long) user.get("id"), user, Math.min(granted, SCOPES.indexOf(user.get("role"))), key);
    }

    static String cascade(int rank) { return String.join(" ", SCOPES.subList(0, rank + 1)); }

    Answer issue(Map<String, Object> user) {
        long now = now();
        sessions.values().removeIf(s -> s.expires <= now || s.usedAt >= 0 && now - s.usedAt >= GRACE_SECONDS);
        Object id = user.get("id");
        String jti = random(16), role = (String) user.get("role");
        sessions.put(jti, new Session((Long) id, now + REFRESH_SECONDS));
        Map<String, Object> access = map("_id", id, "organization", user.get("organization"), "scope", cascade(SCOPES.indexOf(role)),
            "grant_type", "access_token", "jti", random(9), "iat", now, "exp", now + TOKEN_SECONDS);
        Map<String, Object> refresh = map("_id", id, "grant_type", "refresh_token", "jti", jti, "iat", now, "exp", now + REFRESH_SECONDS);
        return new Answer(200, map("tokenType", "Bearer", "token", sign(access), "refreshToken", sign(refresh), "user", id, "scope", role,
            "organization", user.get("organization")), Map.of("Pragma", "no-cache"));
    }

    /**
     * A new pair for a refresh token. It may be used again within ten seconds of its first use, for
     * a client whose answer was lost on the way; after that it is dead. Refused with 400, as
     * OAuth 2.0 has it (RFC 6749, 5.2, invalid_grant).
     */
    Answer refresh(String token, Predicate<Map<String, Object>> owner) {
        Refusal refused = new Refusal(400, "The refresh token was refused");
        try {
            Map<String, Object> claims = verify(token);
            Session session = "refresh_token".equals(claims.get("grant_type")) ? sessions.get(claims.get("jti")) : null;
            Map<String, Object> user = session == null ? null : things("users").get(session.user);
            if (user == null || expired(claims) || session.expires <= now() || !"active".equals(user.get("status")) || !owner.test(user)) throw refused;
            if (session.usedAt >= 0 && now() - session.usedAt >= GRACE_SECONDS) throw refused;
            if (session.usedAt < 0) session.usedAt = now();
            return issue(user);
        } catch (Malformed e) {
            throw refused;
        }
    }

    Map<String, Object> byEmail(String email) {
        return things("users").values().stream().filter(u -> email.equals(u.get("email"))).findFirst().orElse(null);
    }

    Answer logIn(String email, String password) {
        // Slows guessing down without letting a stranger lock anybody out for long.
        if (wrongPasswords.size() > 10_000) wrongPasswords.values().removeIf(q -> q.isEmpty() || q.peekLast() <= now() - 60);
        Deque<Long> wrong = wrongPasswords.computeIfAbsent(email, e -> new ArrayDeque<>());
        while (!wrong.isEmpty() && wrong.peekFirst() <= now() - 60) wrong.removeFirst();
        if (wrong.size() >= WRONG_PER_MINUTE) throw new Refusal(429, "Too many wrong passwords").header("Retry-After", "" + (wrong.peekFirst() + 60 - now()));
        Map<String, Object> user = byEmail(email);
        String hash = user == null ? null : passwordHashes.get((Long) user.get("id"));
        boolean right = checkPassword(password, hash == null ? DUMMY_HASH : hash);
        if (!right || hash == null || !"active".equals(user.get("status"))) {
            wrong.addLast(now());
            throw unauthorised("Invalid credentials");
        }
        wrongPasswords.remove(email);
        return issue(user);
    }

    // ------------------------------------------------------------ operations

    static Refusal forbidden(String message) { return new Refusal(403, message); }

    Answer list(Kind kind, Map<String, String> query) {
        int limit = Math.min(whole(query, "limit", DEFAULT_LIMIT), MAX_LIMIT), offset = whole(query, "offset", 0);
        List<Map<String, Object>> page = kind.things.values().stream().skip(offset).limit(limit).toList(); // oldest first
        return new Answer(200, page, Map.of("X-Total-Count", "" + kind.things.size()));
    }

    static int whole(Map<String, String> query, String name, int fallback) {
        String value = query.get(name);
        if (value == null) return fallback;
        if (!value.matches("[0-9]{1,9}")) throw new Refusal(400, name + " must be a whole number");
        return Integer.parseInt(value);
    }

    Answer create(Caller caller, Kind kind, Map<String, Object> body) {
        Map<String, Object> given = members(kind, body, true);
        Map<String, Object> all = new LinkedHashMap<>();
        boolean inOrganization = kind.members.containsKey("organization") && caller.user.containsKey("organization");
        if (inOrganization) all.put("organization", caller.user.get("organization"));
        switch (kind.name) {
            case "organizations" -> all.put("status", "active");
            case "orggroups" -> all.put("organizations", List.of());
            case "users" -> all.putAll(map("role", "agent", "status", "active", "avatar", "/images/avatar.png"));
            case "conversations" -> all.putAll(map("type", "agent", "status", "active", "tags", List.of(),
                "participants", List.of(map("user", caller.id, "role", caller.user.get("role"), "active", true))));
            case "forms" -> all.put("fields", List.of());
            case "services" -> all.putAll(map("type", "webhook", "status", "unverified", "params", map()));
            default -> { }
        }
        all.putAll(given);
        if (kind.name.equals("services")) checkVerified(map(), all);
        if (kind.name.equals("users")) {
            if (byEmail((String) all.get("email")) != null) throw new Refusal(409, "There is a user with this e-mail address already");
            String hash = hashPassword((String) all.remove("password"));
            Map<String, Object> user = insert("users", all);
            passwordHashes.put((Long) user.get("id"), hash);
            return new Answer(201, user);
        }
        if (!kind.name.equals("conversations")) return new Answer(201, insert(kind.name, all));
        // The first messages are things of their own; all of them are checked before any is kept.
        List<?> first = (List<?>) Objects.requireNonNullElse(all.remove("messages"), List.of());
        List<Map<String, Object>> checked = new ArrayList<>();
        for (Object one : first) {
            @SuppressWarnings("unchecked") Map<String, Object> message = (Map<String, Object>) one;
            checked.add(members(kinds.get("messages"), message, true));
        }
        Map<String, Object> conversation = insert("conversations", all);
        for (Map<String, Object> message : checked) insertMessage(caller, conversation, message);
        return new Answer(201, conversation);
    }

    Map<String, Object> insertMessage(Caller caller, Map<String, Object> conversation, Map<String, Object> given) {
        Map<String, Object> message = map("conversation", conversation.get("id"), "user", caller.id,
            "type", "chat", "role", caller.rank == 0 ? "contact" : "bot", "contentType", "text/plain");
        if (conversation.containsKey("organization")) message.put("organization", conversation.get("organization"));
        // A guest speaks as a contact, whatever the body says.
        given.forEach((name, value) -> {
            if (!name.equals("role") || caller.rank > 0) message.put(name, value);
        });
        return insert("messages", message);
    }

    Answer createMessage(Caller caller, Long conversationId, Map<String, Object> body) {
        Map<String, Object> conversation = conversationId == null ? null : things("conversations").get(conversationId);
        if (conversation == null) throw new Refusal(404, "Conversation not found");
        return new Answer(201, insertMessage(caller, conversation, members(kinds.get("messages"), body, true)));
    }

    /** A webhook becomes active by answering the challenge, never by being told so. */
    static void checkVerified(Map<String, Object> before, Map<String, Object> after) {
        if ("webhook".equals(after.get("type")) && "active".equals(after.get("status")) && !"active".equals(before.get("status")))
            throw forbidden("The URL of the webhook has not been verified");
    }

    Answer update(Caller caller, Kind kind, Map<String, Object> thing, Map<String, Object> body) {
        boolean users = kind.name.equals("users");
        if (users && !kind.allows(caller, Action.UPDATE)) {
            // Oneself, then: not what one may do, and no credentials through a key or token that is
            // narrower than its user, or it could grow by logging in.
            for (String member : List.of("role", "status", "organization"))
                if (body.containsKey(member) && !String.valueOf(thing.get(member)).equals(String.valueOf(body.get(member)))) throw forbidden("Only an admin may change " + member);
            boolean narrow = caller.rank < SCOPES.indexOf(thing.get("role"));
            if (narrow && (body.containsKey("password") || body.containsKey("email"))) throw forbidden("This token may not change how its user logs in");
        }
        if (kind.name.equals("conversations") && body.containsKey("messages")) throw new Refusal(422, "not acceptable in an update: messages");
        Map<String, Object> given = members(kind, body, false);
        // Merged at the top level; objects and lists in the body replace the stored ones.
        Map<String, Object> after = new LinkedHashMap<>(thing);
        after.putAll(given);
        after.remove("password");
        if (users) {
            Map<String, Object> other = byEmail((String) after.get("email"));
            if (other != null && other != thing) throw new Refusal(409, "There is a user with this e-mail address already");
            if (lastAdmin(thing) && !isAdmin(after)) throw new Refusal(409, "There must be an admin");
            if (given.containsKey("password")) {
                passwordHashes.put((Long) thing.get("id"), hashPassword((String) given.get("password")));
                sessions.values().removeIf(s -> s.user == (Long) thing.get("id")); // those that the old password began
            }
        }
        if (kind.name.equals("services")) checkVerified(thing, after);
        if (kind.name.equals("organizations") && after.get("id").equals(given.get("parent"))) throw new Refusal(422, "not acceptable: parent");
        after.put("updatedAt", isoNow());
        thing.putAll(after);
        return new Answer(200, thing);
    }

    static boolean isAdmin(Map<String, Object> user) {
        return "admin".equals(user.get("role")) && "active".equals(user.get("status"));
    }

    boolean lastAdmin(Map<String, Object> user) {
        return isAdmin(user) && things("users").values().stream().filter(Server::isAdmin).count() == 1;
    }

    Answer delete(Kind kind, Long id) {
        Map<String, Object> thing = kind.things.get(id);
        if (kind.name.equals("users")) {
            if (lastAdmin(thing)) throw new Refusal(409, "There must be an admin");
            passwordHashes.remove(id);
            sessions.values().removeIf(s -> s.user == id);
            List.copyOf(things("apikeys").values()).stream().filter(k -> id.equals(k.get("user"))).forEach(k -> delete(kinds.get("apikeys"), (Long) k.get("id")));
        }
        if (kind.name.equals("apikeys")) keyIds.values().remove(id);
        if (kind.name.equals("conversations")) things("messages").values().removeIf(m -> id.equals(m.get("conversation")));
        kind.things.remove(id);
        // What pointed here points nowhere now, as "on delete set null" has it.
        for (Kind other : kinds.values()) other.members.forEach((member, type) -> {
            if (type.equals("@" + kind.name)) other.things.values().forEach(t -> t.remove(member, id));
            if (type.equals("@@" + kind.name)) other.things.values().forEach(t -> t.computeIfPresent(member, (m, list) -> ((List<?>) list).stream().filter(x -> !id.equals(x)).toList()));
        });
        return new Answer(200, null); // without a body
    }

    Answer createKey(Caller caller, Map<String, Object> body) {
        Map<String, Object> given = members(kinds.get("apikeys"), body, true);
        given.put("user", caller.id);
        Map<String, Object> key = insert("apikeys", given);
        int rank = ((List<?>) given.get("scopes")).stream().mapToInt(SCOPES::indexOf).max().orElseThrow();
        String jti = random(16);
        keyIds.put(jti, (Long) key.get("id"));
        Map<String, Object> shown = new LinkedHashMap<>(key); // the token is shown this once and not kept
        shown.put("token", sign(map("_id", caller.id, "scope", cascade(rank), "grant_type", "api_key", "jti", jti, "iat", now())));
        return new Answer(201, shown);
    }

    // ------------------------------------------------------------ routes

    Answer route(Request request) {
        String[] target = request.target.split("\\?", 2);
        String method = request.method.equals("HEAD") ? "GET" : request.method; // the body is left out later
        List<String> path = new ArrayList<>();
        Map<String, String> query = new LinkedHashMap<>();
        try {
            for (String part : target[0].substring(1).split("/", -1)) path.add(URLDecoder.decode(part.replace("+", "%2B"), UTF_8));
            for (String pair : target.length < 2 ? new String[0] : target[1].split("&")) {
                String[] both = pair.split("=", 2);
                query.put(URLDecoder.decode(both[0], UTF_8), both.length < 2 ? "" : URLDecoder.decode(both[1], UTF_8));
            }
        } catch (IllegalArgumentException e) {
            throw new Refusal(400, "The address is not well encoded");
        }
        if (path.equals(List.of("__clock"))) {
            if (!method.equals("POST")) throw methodNotAllowed("POST");
            if (!(body(request).get("advance") instanceof Number n) || Math.abs(n.doubleValue()) > 1e9) throw new Refusal(422, "not acceptable: advance");
            clockOffset += n.doubleValue();
            return new Answer(200, map("offset", BigDecimal.valueOf(clockOffset), "now", isoNow()));
        }
        if (path.equals(List.of("__census"))) {
            if (!method.equals("GET")) throw methodNotAllowed("GET, HEAD");
            return new Answer(200, census());
        }
        if (!path.get(0).equals("v2") || path.size() < 2) throw notFound();
        if (path.equals(List.of("v2", "auth", "token"))) return token(request, method, query);

        Caller caller = authenticate(request);
        Kind kind = kinds.get(path.get(1));
        if (kind == null || path.size() > 4) throw notFound();
        boolean keys = kind.name.equals("apikeys");
        if (path.size() == 4) {
            if (!kind.name.equals("conversations") || !path.get(3).equals("messages")) throw notFound();
            if (!method.equals("POST")) throw methodNotAllowed("POST");
            authorise(caller, kinds.get("messages"), Action.CREATE, null);
            return createMessage(caller, parseId(path.get(2)), body(request));
        }
        if (path.size() == 2) {
            boolean creatable = !kind.name.equals("messages"); // those are made in their conversation
            if (method.equals("POST") && creatable) {
                authorise(caller, kind, Action.CREATE, null);
                return keys ? createKey(caller, body(request)) : create(caller, kind, body(request));
            }
            if (!method.equals("GET")) throw methodNotAllowed(creatable ? "GET, HEAD, POST" : "GET, HEAD");
            authorise(caller, kind, Action.LIST, null);
            return list(kind, query);
        }
        Action action = switch (method) {
            case "GET" -> Action.FETCH;
            case "PATCH" -> Action.UPDATE;
            case "DELETE" -> Action.DELETE;
            default -> null;
        };
        if (action == null || keys && action != Action.DELETE) throw methodNotAllowed(keys ? "DELETE" : "GET, HEAD, PATCH, DELETE");
        Long id = parseId(path.get(2));
        authorise(caller, kind, action, id);
        Map<String, Object> thing = id == null ? null : kind.things.get(id);
        if (thing == null) throw notFound();
        return switch (action) {
            case FETCH -> new Answer(200, thing);
            case UPDATE -> update(caller, kind, thing, body(request));
            default -> delete(kind, id);
        };
    }

    void authorise(Caller caller, Kind kind, Action action, Long id) {
        boolean self = kind.name.equals("users") && id != null && id == caller.id && caller.rank >= 0 && (action == Action.FETCH || action == Action.UPDATE);
        if (!self && !kind.allows(caller, action)) throw forbidden("Your scope does not include this operation");
    }

    /** Log-in and both refreshes. An Authorization header on POST is ignored: clients send a stale one. */
    Answer token(Request request, String method, Map<String, String> query) {
        if (request.method.equals("GET")) { // not HEAD: this makes something
            Caller caller = authenticate(request);
            String token = query.getOrDefault("refreshToken", "");
            if (token.isEmpty()) throw new Refusal(400, "required: refreshToken");
            return refresh(token, user -> !caller.key && user.get("id").equals(caller.id));
        }
        if (!method.equals("POST")) throw methodNotAllowed("GET, POST");
        Map<String, Object> body = body(request);
        if (!body.values().stream().allMatch(v -> v instanceof String s && !s.isEmpty() && s.length() <= 4096)) throw new Refusal(422, "Every member must be a text");
        if (body.keySet().equals(Set.of("email", "password"))) return logIn(((String) body.get("email")).toLowerCase(Locale.ROOT), (String) body.get("password"));
        if (!body.keySet().equals(Set.of("refreshToken", "clientId"))) throw new Refusal(422, "required: email and password, or refreshToken and clientId");
        String clientId = ((String) body.get("clientId")).toLowerCase(Locale.ROOT);
        return refresh((String) body.get("refreshToken"), user -> clientId.equals(user.get("email")));
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> body(Request request) {
        String type = request.headers.getOrDefault("content-type", "").split(";")[0].trim();
        if (request.body.length > 0 && !type.equalsIgnoreCase("application/json")) throw new Refusal(415, "The body must be application/json");
        try {
            if (Json.parse(request.body) instanceof Map<?, ?> body) return (Map<String, Object>) body;
        } catch (Malformed e) {
            throw new Refusal(400, "The body is not JSON: " + e.getMessage());
        }
        throw new Refusal(422, "The body must be an object");
    }

    /** For tests only, which is why it shows hashes without asking who wants them. */
    Map<String, Object> census() {
        Map<String, Object> all = new LinkedHashMap<>();
        for (Kind kind : kinds.values()) {
            Map<String, Object> byId = new LinkedHashMap<>();
            kind.things.forEach((id, thing) -> {
                Map<String, Object> shown = new LinkedHashMap<>(thing);
                if (kind.name.equals("users")) shown.put("passwordHash", passwordHashes.get(id));
                byId.put("" + id, shown);
            });
            all.put(kind.name, byId);
        }
        return map("clock", map("offset", BigDecimal.valueOf(clockOffset)), "things", all);
    }

    // ------------------------------------------------------------ HTTP

    // The JDK's own server adds a Date header and cannot be told not to, hence this one.
    void serve(ServerSocket listener) {
        ThreadPoolExecutor pool = new ThreadPoolExecutor(2, 200, 5, TimeUnit.SECONDS, new SynchronousQueue<>(), task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        while (true) {
            Socket socket = null;
            try {
                Socket accepted = socket = listener.accept();
                pool.execute(() -> converse(accepted));
            } catch (RejectedExecutionException | IOException e) {
                close(socket);
            }
        }
    }

    static void close(Socket socket) {
        try (socket) { // that is all
        } catch (IOException e) { // gone already
        }
    }

    void converse(Socket socket) {
        try (socket) {
            socket.setTcpNoDelay(true);
            InputStream in = new BufferedInputStream(socket.getInputStream());
            OutputStream out = socket.getOutputStream();
            while (true) {
                socket.setSoTimeout(IDLE_MS); // an idle second ends the connection, by an exception
                in.mark(1);
                if (in.read() < 0) return;
                in.reset();
                socket.setSoTimeout(REQUEST_MS);
                Request request = null;
                Answer answer;
                boolean keep = false;
                try {
                    request = read(in, out);
                    keep = !request.headers.getOrDefault("connection", "").toLowerCase(Locale.ROOT).contains("close") && !request.headers.containsKey(":1.0");
                    synchronized (this) { // one request at a time: no two can interleave
                        Answer result = route(request);
                        answer = new Answer(result.status, result.body == null ? null : Json.write(result.body), result.headers);
                    }
                } catch (Refusal r) {
                    answer = new Answer(r.status, Json.write(map("error", r.error)), r.headers);
                } catch (RuntimeException e) {
                    e.printStackTrace();
                    answer = new Answer(500, "{\"error\":{\"code\":500,\"message\":\"Internal error\"}}");
                }
                write(out, request, answer, keep);
                if (!keep) {
                    socket.shutdownOutput(); // let the peer read the answer before the reset that unread bytes would cause
                    socket.setSoTimeout(200);
                    for (long left = 8 * MAX_BODY, n; left > 0 && (n = in.skip(left)) > 0; left -= n) ;
                    return;
                }
            }
        } catch (IOException e) {
            // idle, or gone
        }
    }

    Request read(InputStream in, OutputStream out) throws IOException {
        int[] room = {32 * 1024}; // for the request line and all headers
        String[] line = line(in, room).split(" ", -1);
        if (line.length != 3 || !line[0].matches("[A-Z]{1,20}") || !line[2].matches("HTTP/1\\.[01]")) throw new Refusal(400, "Malformed request line");
        String target = line[1].replaceFirst("^http://[^/?]*", "");
        if (!target.startsWith("/")) throw new Refusal(400, "Malformed target");
        Map<String, String> headers = new HashMap<>();
        for (String header; !(header = line(in, room)).isEmpty(); ) {
            int colon = header.indexOf(':');
            if (colon < 1 || !header.substring(0, colon).matches("[A-Za-z0-9!#$%&'*+.^_`|~-]+")) throw new Refusal(400, "Malformed header");
            String name = header.substring(0, colon).toLowerCase(Locale.ROOT);
            // Two of these would let two readers of one request disagree about it.
            if (headers.put(name, header.substring(colon + 1).trim()) != null && Set.of("content-length", "transfer-encoding", "host", "authorization").contains(name))
                throw new Refusal(400, "Repeated header");
        }
        if (line[2].endsWith("0")) headers.put(":1.0", ""); // no header can have that name
        else if (!headers.containsKey("host")) throw new Refusal(400, "Host is missing");
        String length = headers.getOrDefault("content-length", "0"), coding = headers.get("transfer-encoding");
        if (!length.matches("[0-9]{1,15}") || coding != null && (headers.containsKey("content-length") || !coding.equalsIgnoreCase("chunked"))) throw new Refusal(400, "Malformed length");
        if (Long.parseLong(length) > MAX_BODY) throw new Refusal(413, "The body is too large");
        if ("100-continue".equalsIgnoreCase(headers.get("expect"))) out.write("HTTP/1.1 100 Continue\r\n\r\n".getBytes(ISO_8859_1));
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        if (coding == null) take(in, body, Integer.parseInt(length));
        else for (int size = -1; size != 0; ) {
            String chunk = line(in, room).split(";")[0].trim();
            if (!chunk.matches("[0-9A-Fa-f]{1,7}")) throw new Refusal(400, "Malformed chunk");
            size = Integer.parseInt(chunk, 16);
            if (body.size() + size > MAX_BODY) throw new Refusal(413, "The body is too large");
            take(in, body, size);
            if (size > 0 && !line(in, room).isEmpty()) throw new Refusal(400, "Malformed chunk");
            if (size == 0) while (!line(in, room).isEmpty()) ; // trailers
        }
        return new Request(line[0], target, headers, body.toByteArray());
    }

    static void take(InputStream in, ByteArrayOutputStream body, int size) throws IOException {
        byte[] bytes = in.readNBytes(size);
        if (bytes.length < size) throw new IOException("cut short");
        body.write(bytes);
    }

    static String line(InputStream in, int[] room) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int c; (c = in.read()) != '\n'; line.append((char) c)) {
            if (c < 0) throw new IOException("cut short");
            if (--room[0] < 0) throw new Refusal(431, "The headers are too large");
        }
        if (line.length() > 0 && line.charAt(line.length() - 1) == '\r') line.setLength(line.length() - 1);
        return line.toString();
    }

    static final Map<Integer, String> REASONS = Map.ofEntries(Map.entry(200, "OK"), Map.entry(201, "Created"), Map.entry(400, "Bad Request"),
        Map.entry(401, "Unauthorized"), Map.entry(403, "Forbidden"), Map.entry(404, "Not Found"), Map.entry(405, "Method Not Allowed"), Map.entry(409, "Conflict"),
        Map.entry(413, "Content Too Large"), Map.entry(415, "Unsupported Media Type"), Map.entry(422, "Unprocessable Content"), Map.entry(429, "Too Many Requests"));

    static void write(OutputStream out, Request request, Answer answer, boolean keep) throws IOException {
        byte[] body = answer.body == null ? new byte[0] : ((String) answer.body).getBytes(UTF_8);
        StringBuilder head = new StringBuilder("HTTP/1.1 " + answer.status + " " + REASONS.getOrDefault(answer.status, "Error") + "\r\n");
        answer.headers.forEach((name, value) -> head.append(name).append(": ").append(value).append("\r\n"));
        if (body.length > 0) head.append("Content-Type: application/json;charset=UTF-8\r\n");
        head.append("Cache-Control: no-store\r\nContent-Length: ").append(body.length).append(keep ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
        ByteArrayOutputStream all = new ByteArrayOutputStream(); // one packet, where it fits
        all.write(head.toString().getBytes(ISO_8859_1));
        if (request == null || !request.method.equals("HEAD")) all.write(body);
        out.write(all.toByteArray());
        out.flush();
    }

    // ------------------------------------------------------------ JSON

    /** Objects are LinkedHashMaps, whole numbers Longs, others BigDecimals. */
    static class Json {
        private final String text;
        private int at = 0, depth = 0;

        private Json(String text) { this.text = text; }

        static Object parse(byte[] bytes) throws Malformed {
            try {
                Json json = new Json(UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()); // strict, unlike new String
                Object value = json.value();
                json.peek();
                if (json.at < json.text.length()) throw json.bad();
                return value;
            } catch (CharacterCodingException e) {
                throw new Malformed("not UTF-8");
            }
        }

        private Malformed bad() { return new Malformed("unexpected at " + at); }

        private char peek() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
            return at < text.length() ? text.charAt(at) : 0;
        }

        private boolean skip(char c) {
            if (peek() != c) return false;
            at++;
            return true;
        }

        private void need(char c) throws Malformed { if (!skip(c)) throw bad(); }

        private Object value() throws Malformed {
            if (++depth > 32) throw new Malformed("nested too deeply"); // or the stack would be the limit
            Object result = switch (peek()) {
                case '{' -> object();
                case '[' -> list();
                case '"' -> string();
                case 't' -> word("true", true);
                case 'f' -> word("false", false);
                case 'n' -> word("null", null);
                default -> number();
            };
            depth--;
            return result;
        }

        private Object word(String word, Object value) throws Malformed {
            if (!text.startsWith(word, at)) throw bad();
            at += word.length();
            return value;
        }

        private Object object() throws Malformed {
            Map<String, Object> result = new LinkedHashMap<>();
            need('{');
            if (skip('}')) return result;
            do {
                if (peek() != '"') throw bad();
                String name = string();
                if (result.containsKey(name)) throw new Malformed("a member twice"); // which one would count?
                need(':');
                result.put(name, value());
            } while (skip(','));
            need('}');
            return result;
        }

        private Object list() throws Malformed {
            List<Object> result = new ArrayList<>();
            need('[');
            if (skip(']')) return result;
            do result.add(value()); while (skip(','));
            need(']');
            return result;
        }

        private Object number() throws Malformed {
            int start = at;
            while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
            String digits = text.substring(start, at);
            if (digits.length() > 40 || !digits.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")) throw bad();
            return digits.matches("-?[0-9]{1,18}") ? (Object) Long.valueOf(digits) : new BigDecimal(digits);
        }

        private String string() throws Malformed {
            StringBuilder result = new StringBuilder();
            for (at++; at < text.length(); ) {
                char c = text.charAt(at++);
                if (c == '"') return result.toString();
                if (c < ' ') break;
                if (c != '\\') {
                    result.append(c);
                    continue;
                }
                char escape = at < text.length() ? text.charAt(at++) : 0;
                int plain = "\"\\/bfnrt".indexOf(escape);
                if (plain >= 0) result.append("\"\\/\b\f\n\r\t".charAt(plain));
                else if (escape == 'u' && at + 4 <= text.length() && text.substring(at, at + 4).matches("[0-9A-Fa-f]{4}")) {
                    result.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                    at += 4;
                } else break;
            }
            throw bad();
        }

        static String write(Object value) {
            if (value instanceof Map<?, ?> m) {
                return m.entrySet().stream().map(e -> quote((String) e.getKey()) + ":" + write(e.getValue())).collect(Collectors.joining(",", "{", "}"));
            }
            if (value instanceof List<?> l) return l.stream().map(Json::write).collect(Collectors.joining(",", "[", "]"));
            return value instanceof String s ? quote(s) : String.valueOf(value);
        }

        private static String quote(String s) {
            StringBuilder result = new StringBuilder("\"");
            for (char c : s.toCharArray()) {
                if (c == '"' || c == '\\') result.append('\\').append(c);
                else if (c < ' ') result.append(String.format("\\u%04x", (int) c));
                else result.append(c);
            }
            return result.append('"').toString();
        }
    }

    // ------------------------------------------------------------ start

    Map<String, String[]> seed() {
        Long home = (Long) insert("organizations", map("name", "Canal Cars", "status", "active", "country", "NL")).get("id");
        Long branch = (Long) insert("organizations", map("name", "Canal Cars South", "status", "active", "parent", home)).get("id");
        insert("orggroups", map("name", "Showrooms", "organizations", List.of(home, branch)));
        Map<String, String[]> accounts = new LinkedHashMap<>();
        for (String name : List.of("former", "guest", "guest2", "agent", "bot", "admin")) {
            boolean former = name.equals("former"); // was there before and cannot log in
            String role = former ? "agent" : name.replace("2", ""), password = random(15) + "aA1!";
            Map<String, Object> user = insert("users", map("email", name + "@canal.example", "name", name + " of Canal Cars", "role", role,
                "status", former ? "inactive" : "active", "avatar", "/images/avatar.png", "organization", home));
            passwordHashes.put((Long) user.get("id"), hashPassword(password));
            if (!former) accounts.put(name, new String[] {(String) user.get("email"), password});
        }
        Caller admin = new Caller(6, things("users").get(6L), 3, false);
        for (int i = 1; i <= 4; i++) {
            Object contact = insert("contacts", map("profile", map("name", "Visitor " + i, "email", "visitor" + i + "@mail.example"), "organization", home)).get("id");
            Map<String, Object> conversation = insert("conversations", map("name", "Visit " + i, "type", "contact", "status", "active", "contact", contact, "tags", List.of(), "organization", home));
            things("contacts").get(contact).put("conversation", conversation.get("id"));
            insertMessage(admin, conversation, map("text", "Welcome, visitor " + i));
        }
        insert("kbitems", map("title", "Parking", "content", "Behind the house.", "organization", home));
        insert("kbitems", map("title", "Winter tyres", "content", "From October on.", "organization", home));
        insert("forms", map("name", "Callback", "fields", List.of(map("name", "Telephone", "key", "telephone")), "organization", home));
        insert("services", map("name", "Stock hook", "type", "webhook", "status", "unverified", "params", map("url", "https://stock.example/hook", "secret", random(12)), "organization", home));
        createKey(admin, map("scopes", List.of("agent"), "name", "wall display"));
        return accounts;
    }

    public static void main(String[] args) throws IOException {
        int port = args.length == 2 && args[0].equals("--port") ? Integer.parseInt(args[1]) : 0;
        String fromEnvironment = System.getenv("ROLECALL_SIGNING_KEY");
        boolean given = fromEnvironment != null && !fromEnvironment.isEmpty();
        byte[] key = given ? fromEnvironment.getBytes(UTF_8) : random(32).getBytes(UTF_8);
        if (key.length < 32) { // RFC 7518, 3.2
            System.err.println("ROLECALL_SIGNING_KEY must have at least 32 bytes");
            System.exit(2);
        }
        Server server = new Server(key);
        Map<String, String[]> accounts = server.seed();
        ServerSocket listener = new ServerSocket(port, 128, InetAddress.getByName("127.0.0.1"));
        Thread requests = new Thread(() -> server.serve(listener));
        requests.setDaemon(true);
        requests.start();
        String base = "http://127.0.0.1:" + listener.getLocalPort();
        StringBuilder toml = new StringBuilder("[target]\nname = \"chat API on the JDK\"\nbase_url = \"" + base + "\"\n");
        accounts.forEach((name, a) -> toml.append("\n[accounts." + name + "]\nemail = \"" + a[0] + "\"\npassword = \"" + a[1] + "\"\n"));
        toml.append("\n[api_keys]\ncreate_path = \"/v2/apikeys\"\n\n[expiry]\nclock_url = \"" + base + "/__clock\"\n");
        if (given) toml.append("signing_key_env = \"ROLECALL_SIGNING_KEY\"\n");
        System.out.print(toml + "# ready\n");
        System.out.flush();
        while (System.in.read() >= 0) ; // nothing is read from it: its end is the sign to stop
        System.exit(0);
    }
}

"""What a target may send: every bound in one place, and what happens where it is reached.

A bound ends one answer, never the run. The exchange keeps what came until then, its ``error`` or
the outcome of the test says in one sentence which bound was reached, and nothing is held against
the target. docs/safety.md says the same to users.
"""

from __future__ import annotations

# --- One answer: beyond these it is not read to its end -----------------------------------------

#: Bytes of a body, on the wire and decoded; no answer of this API is anywhere near.
BODY_LIMIT = 8 * 1024 * 1024
#: Bytes of the header fields of an answer, its trailer fields among them; browsers and gateways
#: stop between 8 and 256 kB.
HEAD_LIMIT = 64 * 1024
#: Header fields of an answer; each takes memory of its own, however short it is.
FIELD_LIMIT = 200
#: Members of a body in gzip (RFC 1952 2.2); each one costs a decoder, and may be empty.
MEMBER_LIMIT = 100

# --- What an answer says: beyond these it is not understood -------------------------------------

#: Levels of arrays and objects in JSON (RFC 8259 9 allows such a limit); Python's own differs from
#: version to version.
JSON_DEPTH = 100
#: Values in a JSON text: `[{},{},...]` is small, and what is made of it takes thirty times the
#: memory.
JSON_VALUES = 250_000
#: Characters of an id; it has to stand in a path, and few servers read a request line of more than
#: 8 kB.
ID_LIMIT = 4096
#: Characters of a URL that is sent; with an id or a link of the target in it, it may be of any
#: length.
URL_LIMIT = 32 * 1024
#: Links in the Link fields of an answer; those behind are not looked at.
LINK_LIMIT = 100
#: Bytes of the pages of one list; all of them are in memory together.
LIST_LIMIT = 4 * BODY_LIMIT

#: Characters of an error that are searched for the inside of the server, which takes time for each
#: of them: half of them at its beginning, half at its end.
SEARCHED = 256 * 1024

# --- All answers of a run together: beyond these the oldest are kept in part --------------------

#: Bytes of all answers that are kept whole; those of a usual run are 2 MB.
RUN_LIMIT = 256 * 1024 * 1024
#: Bytes that are kept of a large body where there is no room for all of it, and that are shown of
#: it in a report.
KEPT = 64 * 1024
#: Characters of all bodies of answers together in evidence.har; those of a usual run are 3 million.
ARCHIVE_LIMIT = 32 * 1024 * 1024
#: Bytes that are kept of any body where even that is too much.
LEAST = 1024
#: Bytes of the bodies whose documents are kept: a document takes up to thirty times the memory of
#: its body.
DOCUMENTS_LIMIT = 4 * 1024 * 1024

# --- What is shown ------------------------------------------------------------------------------

#: Characters of a path in a sentence.
PATH_SHOWN = 300
#: Characters of a header field that is sent verbatim, in the evidence.
FIELD_SHOWN = 2048
#: What stands in the place of a text in which too much is like a secret.
WITHHELD = "<not shown: too much of it is like a secret>"

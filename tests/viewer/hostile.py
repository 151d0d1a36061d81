"""Calls that try to do harm to whoever looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.generation import (
    Citation,
    Content,
    Error,
    Media,
    Message,
    Outcome,
    Reasoning,
    Request,
    Text,
    ToolCall,
    ToolCallResponse,
)
from tests.ledger.records import call

if TYPE_CHECKING:
    from orobserve.generation import Generation

SCRIPT = "<script>document.title = 'owned'; window.owned = 1</script>"
IMAGE = '"><img src=x onerror="window.owned = 1"><svg onload="window.owned = 1">'
LINK = "javascript:window.owned=1"
BIDI = "invoice\u202efdp.exe"
ESCAPES = "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07click\x1b]8;;\x07\x00"
UNSEEN = "zero\u200bwidth \U000e0041\U000e0042 tags \ud83d half"
FAMILY = "👩‍👩‍👧"
FORMULA = '=HYPERLINK("http://evil.example","click")'
ALL = f"{SCRIPT}\n{IMAGE}\n{LINK}\n{BIDI}\n{ESCAPES}\n{UNSEEN}\n{FAMILY}\n{FORMULA}"
LONG = "0123456789abcdef" * (10 * 2**20 // 16)  # 10 MB


def hostile(number: int = 0) -> Generation:
    """Return a call that says these things wherever a caller or a peer can say something."""
    return call(
        number,
        id=f"gen-{number}/../{IMAGE}?#&%2e%2e",
        model=SCRIPT,
        provider=IMAGE,
        outcome=Outcome.FAILED,
        name=BIDI,
        error=Error(type=SCRIPT, message=ALL),
        finish_reasons=(IMAGE,),
        request=Request(model=SCRIPT, user=FORMULA, session_id=f"../{IMAGE}{BIDI}", title=ESCAPES),
        tags={"tags": [SCRIPT, "__proto__"], "constructor": IMAGE, SCRIPT: BIDI},
        content=Content(
            system=(Text(content=ALL),),
            input=(
                Message(
                    role=SCRIPT, name=IMAGE, parts=(Text(content=ALL), Media(type="uri", modality="image", uri=LINK))
                ),
                Message(role="tool", parts=(ToolCallResponse(id=IMAGE, response={SCRIPT: [ALL]}),)),
            ),
            output=(
                Message(
                    role="assistant",
                    parts=(
                        Reasoning(content=ALL),
                        ToolCall(id=BIDI, name=SCRIPT, arguments={IMAGE: ALL}),
                        Text(content=ALL),
                    ),
                    finish_reason=SCRIPT,
                ),
            ),
            tools=({"function": {"name": SCRIPT, "description": ALL}},),
            citations=(Citation(url=LINK, title=ALL), Citation(url=IMAGE)),
        ),
    )


def long(number: int = 1) -> Generation:
    """Return a call with 10 MB in one message, and more messages than a page shows."""
    many = tuple(Message(role="user", parts=(Text(content=f"question {each}"),)) for each in range(450))
    said = Message(role="assistant", parts=(Text(content=LONG),))
    return call(number, id="gen-long", content=Content(input=(*many, said), output=(said,)))

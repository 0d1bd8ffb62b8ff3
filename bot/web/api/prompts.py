"""Saying something: a prompt, a command, an answer."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from bot.govern.access import Act
from bot.web import shapes
from bot.web.saying import refusal, say
from bot.web.visitor import Known, Provided

router = APIRouter(tags=["prompts"])


@router.post("/prompts", status_code=202, response_model=shapes.AcceptedPrompt)
async def post_prompt(
    prompt: shapes.NewPrompt,
    visitor: Known,
    services: Provided,
    response: Response,
    idempotency_key: Annotated[
        str, Header(max_length=500, description="the same for every attempt to say the same")
    ] = "",
) -> shapes.AcceptedPrompt:
    """Say something. 202: it became a prompt; 200: it was a command or an answer and is done."""
    visitor.require(Act.PROMPT)
    accepted = await say(
        services,
        visitor,
        prompt.text,
        surface=prompt.surface,
        key=idempotency_key,
        session=prompt.session,
        project=prompt.project,
        thread=prompt.thread,
        checkout=prompt.checkout,
        new=prompt.new,
    )
    if accepted.verdict == "refused":
        raise refusal(accepted)
    if accepted.verdict in {"command", "answer"}:
        response.status_code = 200
    return shapes.AcceptedPrompt(
        verdict=accepted.verdict,
        text=accepted.text,
        session=accepted.session,
        prompt=accepted.prompt_id,
        event=accepted.event,
        duplicate=accepted.duplicate,
    )

"""An agent of the Agent Client Protocol that does what its prompt says; misbehaves on demand.

Its prompt is a script, a word and its arguments a line; see `SCRIPT`. It keeps what it was told in
files, as real agents do, so that a conversation can be loaded. Told when its process began, it
notes for each request to a model when that was and how long it had waited for its client by then.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from itertools import count
from pathlib import Path

HOME = Path(os.environ.get("ACP_HOME", "."))
TRAITS = frozenset(os.environ.get("ACP_TRAITS", "").split(","))
BEGAN = os.environ.get("ACP_BEGAN", "")
"""Seconds since 1970."""
numbers = count(1)
waits = []
"""Seconds for which each message of the client was waited for."""


def write(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def read():
    began = time.time()
    line = sys.stdin.readline()
    waits.append(time.time() - began)
    if not line:
        sys.exit(0)
    return json.loads(line)


def log(word):
    with (HOME / "log").open("a") as file:
        file.write(f"{word}\n")


def update(session, **what):
    write({"method": "session/update", "params": {"sessionId": session, "update": what}})


def said(session, words, kind="agent_message_chunk"):
    update(session, sessionUpdate=kind, content={"type": "text", "text": words})


def permission(session, title):
    """Ask, and say what was chosen; anything else that comes meanwhile is waited out."""
    number = next(numbers)
    options = [
        {"optionId": "a", "name": "Allow", "kind": "allow_once"},
        {"optionId": "r", "name": "Reject", "kind": "reject_once"},
    ]
    params = {
        "sessionId": session,
        "toolCall": {"toolCallId": f"t{number}", "title": title},
        "options": options,
    }
    write({"id": f"p{number}", "method": "session/request_permission", "params": params})
    while True:
        answer = read()
        if answer.get("id") == f"p{number}" and "method" not in answer:
            outcome = answer["result"]["outcome"]
            log(f"permission {outcome.get('optionId', outcome['outcome'])}")
            said(session, f"[{outcome.get('optionId', outcome['outcome'])}]")
            return


def permissions(session, count):
    """Ask for so many at once, and say how many were given."""
    options = [{"optionId": "a", "name": "Allow", "kind": "allow_once"}]
    for number in range(int(count)):
        call = {"toolCallId": f"m{number}", "title": f"touch {number}"}
        params = {"sessionId": session, "toolCall": call, "options": options}
        write({"id": f"m{number}", "method": "session/request_permission", "params": params})
    answers = [read() for _ in range(int(count))]
    given = [one for one in answers if one["result"]["outcome"].get("optionId") == "a"]
    said(session, f"{len(given)} of {len({one['id'] for one in answers})}")


def wait_for(path, session):
    """Wait for a file, or for the cancellation of the turn; whether it was cancelled."""
    os.set_blocking(sys.stdin.fileno(), False)
    try:
        while not Path(path).exists():
            line = sys.stdin.readline()
            if line and json.loads(line).get("method") == "session/cancel":
                if "deaf" in TRAITS:
                    continue
                return True
            time.sleep(0.02)
    finally:
        os.set_blocking(sys.stdin.fileno(), True)
    return False


def asked_model(session):
    """Ask the model at `ACP_MODEL_URL` and say its answer; how it failed, as agents report that."""
    messages = [{"role": "user", "content": "model"}]
    asked = {"model": os.environ["ACP_MODEL"], "max_tokens": 9, "messages": messages}
    body = json.dumps(asked).encode()
    headers = {"Host": "gateway.ona", "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["ACP_MODEL_URL"], body, headers)
    if BEGAN:
        noted = {"began": float(BEGAN), "waited": sum(waits), "asked": time.time()}
        with (HOME / "clock").open("a") as file:
            file.write(json.dumps(noted) + "\n")
    try:
        with urllib.request.urlopen(request) as answer:
            said(session, json.load(answer)["content"][0]["text"])
    except urllib.error.HTTPError as error:
        return f"API Error: {error.code} {error.read().decode()}"
    return ""


SCRIPT = {
    "say": said,
    "think": lambda session, words: said(session, words, "agent_thought_chunk"),
    "ask": permission,
    "asks": permissions,
    "tool": lambda session, title: update(
        session, sessionUpdate="tool_call", toolCallId="c1", title=title, status="pending"
    ),
    "done": lambda session, _: update(
        session, sessionUpdate="tool_call_update", toolCallId="c1", status="completed"
    ),
    "strange": lambda session, _: update(session, sessionUpdate="hologram", depth=3),
    "malformed": lambda session, _: write({"method": "session/update", "params": [session]}),
    "answer": lambda _, number: write({"id": int(number), "result": {}}),
    "noise": lambda session, words: print(words, flush=True),
    "complain": lambda session, words: print(words, file=sys.stderr, flush=True),
    "flood": lambda session, size: said(session, "x" * int(size)),
    "pause": lambda session, seconds: time.sleep(float(seconds)),
    "chunks": lambda session, count: [said(session, f"{n} ") for n in range(int(count))],
    "replay": lambda session, path: [
        update(session, **json.loads(line)) for line in Path(path).read_text().splitlines()
    ],
    "exit": lambda session, status: sys.exit(int(status)),
}


def prompt(number, session, text):
    log(f"prompt {text.splitlines()[0]}")
    with (HOME / f"conversation-{session}").open("a") as file:
        file.write(text + "\n")
    # What we say below a prompt is no script.
    for line in text.partition("\n\n")[0].splitlines():
        word, _, rest = line.partition(" ")
        if word == "wait":
            if wait_for(rest, session):
                write({"id": number, "result": {"stopReason": "cancelled"}})
                return
        elif word == "error":
            error = {"code": -32603, "message": "Internal error", "data": {"details": rest}}
            write({"id": number, "error": error})
            return
        elif word == "fail":
            write({"id": number, "error": json.loads(rest)})
            return
        elif word == "model":
            failed = asked_model(session)
            if failed:
                error = {"code": -32603, "message": "Internal error", "data": {"details": failed}}
                write({"id": number, "error": error})
                return
        elif word == "stop":
            write({"id": number, "result": {"stopReason": rest}})
            return
        elif word == "recall":
            said(session, (HOME / f"conversation-{session}").read_text())
        else:
            SCRIPT[word](session, rest)
    write({"id": number, "result": {"stopReason": "end_turn"}})


def opened(session):
    modes = {
        "currentModeId": "default",
        "availableModes": [{"id": "default", "name": "Default"}, {"id": "free", "name": "Free"}],
    }
    models = {
        "id": "model",
        "name": "Model",
        "category": "model",
        "type": "select",
        "currentValue": "small",
        "options": [{"value": "small", "name": "Small"}, {"value": "large", "name": "Large"}],
    }
    return {"sessionId": session, "modes": modes, "configOptions": [models]}


def initialize(number, params):
    if "mute" in TRAITS:
        return
    version = 99 if "newer" in TRAITS else params["protocolVersion"]
    capabilities = {"loadSession": not {"forgetful", "resumes"} & TRAITS}
    if "resumes" in TRAITS:
        capabilities["sessionCapabilities"] = {"resume": {}}
    if "serverless" not in TRAITS:
        capabilities["mcpCapabilities"] = {"http": True, "sse": False}
    write({"id": number, "result": {"protocolVersion": version, "agentCapabilities": capabilities}})


def new(number, params):
    log(f"servers {json.dumps(params['mcpServers'])}")
    write({"id": number, "result": opened(f"c-{os.getpid()}")})


def load(number, params):
    log(f"servers {json.dumps(params['mcpServers'])}")
    session = params["sessionId"]
    kept = HOME / f"conversation-{session}"
    if not kept.exists():
        write({"id": number, "error": {"code": -32002, "message": "Resource not found"}})
        return
    # Who resumes says nothing again, and can't be told to.
    for line in kept.read_text().splitlines() if "resumes" not in TRAITS else ():
        said(session, f"earlier: {line}")
    write({"id": number, "result": opened(session)})


def setting(number, params):
    log(f"mode {params['modeId']}" if "modeId" in params else f"model {params['value']}")
    write({"id": number, "result": {"configOptions": []}})


METHODS = {
    "initialize": initialize,
    "session/new": new,
    "session/load": load,
    "session/resume": load,
    "session/set_mode": setting,
    "session/set_config_option": setting,
    "session/prompt": lambda number, params: prompt(
        number, params["sessionId"], params["prompt"][0]["text"]
    ),
}


def main():
    log("start")
    if "dies" in TRAITS:
        print("there is no licence", file=sys.stderr)
        sys.exit(7)
    while True:
        message = read()
        log(str(message.get("method")))
        if message.get("method") in METHODS:
            METHODS[message["method"]](message.get("id"), message.get("params"))


main()

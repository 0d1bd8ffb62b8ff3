"""Any agent that speaks the Agent Client Protocol, as a job of a machine.

    Task ─▶ initialize ─▶ session/load, /resume or /new ─▶ mode, model ─▶ session/prompt ─▶ Ended
                                            session/update ─▶ events │ ▲ session/request_permission

A turn is one run of the agent's program. What it knows of earlier turns it keeps in its own files,
which are a part of the checkpoint, and loads by the conversation's id.
"""

"""What the agent in a machine may ask of us: a server of the Model Context Protocol.

    gateway ── route ──▶ serving ──▶ protocol (pure) ──▶ calls ──▶ a tool, its event, its limits

serving    paths and sizes of requests        calls     whose turn, how often, what is recorded
protocol   JSON-RPC and MCP, pure             tool      what a tool is
updates    post_update, post_picture          asking    ask_people
reading    read_thread                        checks    read_ci
wishes     open_, update_pull_request         children  start_, read_child_session
memory     read_memory, write_memory

Who asks is told by the socket that the request came in on. A call does what the session may, for
the person whose turn runs, and nothing between turns.
"""

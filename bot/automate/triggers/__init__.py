"""What starts a run: what happened becomes an event, and an event a run or the reason why not.

    trigger_firings   the clock        ┐
    forge_events      a code host      │
    hook_intake       a webhook        ├─▶ events ─▶ taking ─▶ `bot.automate.runs.beginning`
    after             a run's end      │               └ taking_decided (pure): which, and when
    overhearing       a message        ┘

overhearing is in `bot.conversation`, where messages are heard.
"""

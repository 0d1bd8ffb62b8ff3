-- A session whose machine is on another host; see bot/work/taking_over.py.

-- name: elsewhere
-- The host, and what of the session is there.
SELECT host.name, host.seen_at, host.given_up_at IS NOT NULL AS is_given_up,
       machine.id IS NOT NULL AS has_machine,
       coalesce(machine.request = 'destroy', false) AS is_unwanted
  FROM host
  LEFT JOIN machine ON machine.host_id = host.id AND machine.session_id = :session
                   AND machine.state NOT IN ('lost', 'removing', 'gone')
 WHERE host.id = :host

-- name: still_given_up
-- No row: the host has reported meanwhile. One that reports now waits until this is decided.
SELECT id FROM host WHERE id = :host AND given_up_at IS NOT NULL FOR SHARE

-- name: lose
-- Lose the machine for its host, which finds it in this state when it is back, and removes it.
UPDATE machine
   SET state = 'lost', changed_at = clock_timestamp(), note = :note,
       facts = facts || jsonb_build_object('given_up', CAST(:given_up AS jsonb))
 WHERE session_id = :session AND host_id = :host AND state NOT IN ('lost', 'removing', 'gone')
RETURNING id

-- name: place
-- Whose workers may claim the session; none: anybody's.
UPDATE session SET host_id = :host WHERE id = :session

-- name: told
-- Whether the session was told that before.
SELECT EXISTS (SELECT FROM turn_event WHERE session_id = :session AND kind = 'notice'
                  AND body ->> 'text' = :text)

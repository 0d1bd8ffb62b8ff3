-- Policies of projects, by version. Parameters are named as in bot/govern/policy.py.

-- name: newest
SELECT version, name, source FROM policy_version
 WHERE project_id = :project ORDER BY version DESC LIMIT 1

-- name: lock_project
-- Who sets a policy waits here for who sets another one.
SELECT name FROM project WHERE id = :project FOR NO KEY UPDATE

-- name: add
INSERT INTO policy_version (id, project_id, version, name, source, set_by)
SELECT :id, :project, coalesce(max(version), 0) + 1, :name, :source, :by
  FROM policy_version WHERE project_id = :project
RETURNING version

-- name: versions
-- The newest first.
SELECT policy_version.version, policy_version.name, policy_version.source, policy_version.set_at,
       person.name AS set_by
  FROM policy_version LEFT JOIN person ON person.id = policy_version.set_by
 WHERE project_id = :project AND (CAST(:version AS int) IS NULL OR version = :version)
 ORDER BY version DESC LIMIT 200

-- name: project
SELECT name FROM project WHERE id = :project

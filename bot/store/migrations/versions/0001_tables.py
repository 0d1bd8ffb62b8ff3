"""Create the tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "bucket",
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column(
            "filled_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("surface", "method", name=op.f("pk_bucket")),
    )
    op.create_table(
        "host",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("driver", sa.String(), nullable=False),
        sa.Column("accelerator", sa.String(), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "heard_since",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host")),
    )
    op.create_table(
        "cursor",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column(
            "put_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursor")),
    )
    op.create_table(
        "kept",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column(
            "kept_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_kept")),
    )
    op.create_table(
        "surface_state",
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column("mode", sa.String(), server_default="", nullable=False),
        sa.Column("delay_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("surface", "owner", name=op.f("pk_surface_state")),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "until", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=True),
        sa.Column("locale_chosen", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("zone", sa.String(), nullable=True),
        sa.Column("zone_chosen", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("zone_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("deactivated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_service", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("repository_url", sa.String(), nullable=False),
        sa.Column("base_branch", sa.String(), nullable=True),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("size", sa.String(), nullable=True),
        sa.Column(
            "setup",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "start",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "ports",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("instructions", sa.String(), server_default="", nullable=False),
        sa.Column("rebuild_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("name", name=op.f("uq_project_name")),
    )
    op.create_table(
        "project_repository",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("base_branch", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["project.id"],
            name=op.f("fk_project_repository_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_repository")),
    )
    op.create_index(op.f("ix_project_repository_project_id"), "project_repository", ["project_id"])
    op.create_index(
        "uq_project_repository_name",
        "project_repository",
        ["project_id", "name"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "credential",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_credential_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_credential")),
    )
    op.create_index(op.f("ix_credential_person_id"), "credential", ["person_id"], unique=False)
    op.create_table(
        "identity",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_identity_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("surface", "external_id", name=op.f("uq_identity_surface_external_id")),
    )
    op.create_index(op.f("ix_identity_person_id"), "identity", ["person_id"], unique=False)
    op.create_table(
        "permission",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=True),
        sa.Column(
            "asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_permission_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "repository", name=op.f("pk_permission")),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("short", sa.String(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("size", sa.String(), nullable=True),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("base_branch", sa.String(), nullable=True),
        sa.Column("private_to", sa.Uuid(), nullable=True),
        sa.Column("narrow", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "idle",
                "queued",
                "running",
                "waiting",
                "held",
                "deleting",
                name="sessionstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="idle",
            nullable=False,
        ),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("position_last", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("event_last", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("host_id", sa.Uuid(), nullable=True),
        sa.Column(
            "stop", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("held_by", sa.Uuid(), nullable=True),
        sa.Column("instructed", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "active_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["creator_id"], ["person.id"], name=op.f("fk_session_creator_id")),
        sa.ForeignKeyConstraint(["held_by"], ["person.id"], name=op.f("fk_session_held_by")),
        sa.ForeignKeyConstraint(["host_id"], ["host.id"], name=op.f("fk_session_host_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["session.id"], name=op.f("fk_session_parent_id")),
        sa.ForeignKeyConstraint(["private_to"], ["person.id"], name=op.f("fk_session_private_to")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_session_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("short", name=op.f("uq_session_short")),
    )
    op.create_index(
        "ix_session_claimable",
        "session",
        ["priority", "ready_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(op.f("ix_session_host_id"), "session", ["host_id"], unique=False)
    op.create_index(op.f("ix_session_project_id"), "session", ["project_id"], unique=False)
    _pools()
    op.create_table(
        "machine",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("size", sa.String(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("disk_gib", sa.Integer(), nullable=False),
        sa.Column("image_digest", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "creating",
                "starting",
                "running",
                "paused",
                "hibernating",
                "resting",
                "lost",
                "removing",
                "gone",
                name="machine_state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column(
            "facts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["host.id"], name=op.f("fk_machine_host_id")),
        sa.ForeignKeyConstraint(
            ["template_id"], ["template.id"], name=op.f("fk_machine_template_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine")),
    )
    op.create_index(op.f("ix_machine_host_id"), "machine", ["host_id"], unique=False)
    op.create_index(op.f("ix_machine_session_id"), "machine", ["session_id"], unique=False)
    op.create_index(op.f("ix_machine_template_id"), "machine", ["template_id"], unique=False)
    op.create_index(
        "ux_machine_of_session",
        "machine",
        ["session_id"],
        unique=True,
        postgresql_where=sa.text("state NOT IN ('lost', 'removing', 'gone')"),
    )
    op.create_table(
        "thread",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("speaker", sa.String(), server_default="", nullable=False),
        sa.Column("crowded", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("language", sa.String(), server_default="", nullable=False),
        sa.Column("muted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("replied_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_thread_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread")),
        sa.UniqueConstraint("surface", "place", name=op.f("uq_thread_surface_place")),
    )
    op.create_index(op.f("ix_thread_session_id"), "thread", ["session_id"], unique=False)
    op.create_table(
        "channel",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("mention_only", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("greeting_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("greeted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_channel_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel")),
        sa.UniqueConstraint("surface", "address", name=op.f("uq_channel_surface_address")),
    )
    op.create_index(op.f("ix_channel_project_id"), "channel", ["project_id"], unique=False)
    op.create_table(
        "parked",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "message",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked")),
    )
    op.create_table(
        "prompt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("kept_back", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("thread_id", sa.Uuid(), nullable=True),
        sa.Column("asker", sa.String(), server_default="", nullable=False),
        sa.Column("language", sa.String(), server_default="", nullable=False),
        sa.Column("read_only", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("repeats", sa.Uuid(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "done",
                "cancelled",
                name="promptstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="queued",
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_prompt_author_id")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_prompt_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["thread.id"], name=op.f("fk_prompt_thread_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt")),
        sa.UniqueConstraint("session_id", "position", name=op.f("uq_prompt_session_id_position")),
    )
    op.create_index(
        "ix_prompt_open",
        "prompt",
        ["session_id", "position"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("delivery_key", sa.String(), nullable=False),
        sa.Column("message_key", sa.String(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("prompt_id", sa.Uuid(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("event", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "quoted",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "answer",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_delivery_person_id")),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["prompt.id"], name=op.f("fk_delivery_prompt_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_delivery_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "surface", "delivery_key", name=op.f("uq_delivery_surface_delivery_key")
        ),
        sa.UniqueConstraint("surface", "message_key", name=op.f("uq_delivery_surface_message_key")),
    )
    op.create_index(op.f("ix_delivery_prompt_id"), "delivery", ["prompt_id"], unique=False)
    op.create_index(op.f("ix_delivery_session_id"), "delivery", ["session_id"], unique=False)
    op.create_table(
        "attachment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("message_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["delivery.id"],
            name=op.f("fk_attachment_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
    )
    op.create_index(op.f("ix_attachment_delivery_id"), "attachment", ["delivery_id"], unique=False)
    op.create_table(
        "turn",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "running",
                "succeeded",
                "failed",
                "stopped",
                "timed_out",
                "interrupted",
                "budget",
                name="turnstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="running",
            nullable=False,
        ),
        sa.Column("machine_id", sa.Uuid(), nullable=True),
        sa.Column(
            "cursor",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("batches", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unreached", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ran_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("checkpoint_id", sa.Uuid(), nullable=True),
        sa.Column("undone_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["undone_by"], ["turn.id"], name=op.f("fk_turn_undone_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_turn_machine_id")),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["prompt.id"], name=op.f("fk_turn_prompt_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_turn_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn")),
        sa.UniqueConstraint("prompt_id", name=op.f("uq_turn_prompt_id")),
    )
    op.create_index(op.f("ix_turn_session_id"), "turn", ["session_id"], unique=False)
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=True),
        sa.Column("repository_id", sa.Uuid(), nullable=True),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("head", sa.String(), nullable=False),
        sa.Column("tree", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("inline", sa.LargeBinary(), nullable=True),
        sa.Column("blob", sa.String(), nullable=True),
        sa.Column(
            "left_out",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_checkpoint_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_checkpoint_turn_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["project_repository.id"],
            name=op.f("fk_checkpoint_repository_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint")),
    )
    op.create_index(op.f("ix_checkpoint_session_id"), "checkpoint", ["session_id"], unique=False)
    op.create_index(op.f("ix_checkpoint_turn_id"), "checkpoint", ["turn_id"], unique=False)
    op.create_table(
        "turn_checkpoint",
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("repository_id", sa.Uuid(), nullable=False),
        sa.Column("checkpoint_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_turn_checkpoint_turn_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["project_repository.id"],
            name=op.f("fk_turn_checkpoint_repository_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("turn_id", "repository_id", name=op.f("pk_turn_checkpoint")),
    )
    _replies()


def _tombstones() -> None:
    op.create_table(
        "tombstone",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("short", sa.String(), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["by_id"], ["person.id"], name=op.f("fk_tombstone_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstone")),
        sa.UniqueConstraint("session_id", name=op.f("uq_tombstone_session_id")),
        sa.UniqueConstraint("short", name=op.f("uq_tombstone_short")),
    )
    op.create_table(
        "tombstone_thread",
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("tombstone_id", sa.Uuid(), nullable=False),
        sa.Column("shown", sa.Boolean(), server_default="false", nullable=False),
        sa.ForeignKeyConstraint(
            ["tombstone_id"],
            ["tombstone.id"],
            name=op.f("fk_tombstone_thread_tombstone_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("surface", "place", name=op.f("pk_tombstone_thread")),
    )
    op.create_index(op.f("ix_tombstone_thread_tombstone_id"), "tombstone_thread", ["tombstone_id"])
    op.create_table(
        "tombstone_post",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("tombstone_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=True),
        sa.Column("language", sa.String(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["tombstone_id"],
            ["tombstone.id"],
            name=op.f("fk_tombstone_post_tombstone_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstone_post")),
    )
    op.create_index(op.f("ix_tombstone_post_tombstone_id"), "tombstone_post", ["tombstone_id"])


def _halts() -> None:
    _tombstones()
    op.create_table(
        "halt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["by_id"], ["person.id"], name=op.f("fk_halt_by_id")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_halt_person_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_halt_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_halt")),
        sa.UniqueConstraint(
            "scope",
            "project_id",
            "person_id",
            name=op.f("uq_halt_scope_project_id_person_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )


def _pools() -> None:
    op.create_table(
        "template",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.String(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.Integer(), nullable=False),
        sa.Column("disk_gib", sa.Integer(), nullable=False),
        sa.Column("image_digest", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "building",
                "ready",
                "failed",
                "retired",
                "gone",
                name="template_state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "steps",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("step_number", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("step_count", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["host.id"], name=op.f("fk_template_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
    )
    op.create_index(op.f("ix_template_host_id"), "template", ["host_id"], unique=False)
    op.create_index(op.f("ix_template_project_id"), "template", ["project_id"], unique=False)
    op.create_index(
        "ux_template_building",
        "template",
        ["host_id", "project_id", "size"],
        unique=True,
        postgresql_where=sa.text("state = 'building'"),
    )
    op.create_table(
        "template_wait",
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ahead", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["host.id"], name=op.f("fk_template_wait_host_id")),
        sa.PrimaryKeyConstraint("host_id", "project_id", "size", name=op.f("pk_template_wait")),
    )
    op.create_table(
        "pool",
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.String(), nullable=False),
        sa.Column("hot_target", sa.Integer(), nullable=False),
        sa.Column("cold_target", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("held", sa.String(), nullable=True),
        sa.Column("refill_seconds", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["host.id"], name=op.f("fk_pool_host_id")),
        sa.PrimaryKeyConstraint("host_id", "project_id", "size", name=op.f("pk_pool")),
    )
    op.create_table(
        "handout",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.String(), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column(
            "tier",
            sa.Enum(
                "hot",
                "cold",
                "boot",
                name="tier",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["host.id"], name=op.f("fk_handout_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handout")),
    )
    op.create_index("ix_handout_at", "handout", ["host_id", "at"], unique=False)


def _replies() -> None:
    """What is asked of people and told to them."""
    op.create_table(
        "question",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("asked_key", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column(
            "choices",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "permitted",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("closed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("extends_micro", sa.BigInteger(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "answered",
                "expired",
                "withdrawn",
                name="questionstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="open",
            nullable=False,
        ),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("answered_by", sa.Uuid(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["answered_by"], ["person.id"], name=op.f("fk_question_answered_by")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_question_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_question_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question")),
        sa.UniqueConstraint("turn_id", "asked_key", name=op.f("uq_question_turn_id_asked_key")),
    )
    op.create_index(op.f("ix_question_session_id"), "question", ["session_id"], unique=False)
    op.create_index(op.f("ix_question_turn_id"), "question", ["turn_id"], unique=False)
    op.create_table(
        "reply",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("thread_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column(
            "buttons",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("notify", sa.String(), server_default="", nullable=False),
        sa.Column("final", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("live", sa.String(), server_default="", nullable=False),
        sa.Column("language", sa.String(), server_default="", nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "sending",
                "sent",
                "failed",
                name="replystate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column("wording", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("wording_sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("posted_ref", sa.String(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("undelivered", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("sender", sa.String(), nullable=True),
        sa.Column("sender_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["thread.id"], name=op.f("fk_reply_thread_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_reply_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply")),
        sa.UniqueConstraint("thread_id", "key", name=op.f("uq_reply_thread_id_key")),
    )
    op.create_index(
        "ix_reply_due",
        "reply",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )
    op.create_index(
        "ix_reply_undelivered",
        "reply",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("undelivered"),
    )
    op.create_index(
        "ix_reply_posted",
        "reply",
        ["posted_ref"],
        unique=False,
        postgresql_where=sa.text("posted_ref IS NOT NULL"),
    )
    op.create_index(op.f("ix_reply_thread_id"), "reply", ["thread_id"], unique=False)
    op.create_index(op.f("ix_reply_turn_id"), "reply", ["turn_id"], unique=False)
    _halts()
    op.create_table(
        "turn_event",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column(
            "body",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_turn_event_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_turn_event_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "number", name=op.f("pk_turn_event")),
    )
    op.create_index(op.f("ix_turn_event_turn_id"), "turn_event", ["turn_id"], unique=False)
    op.create_index("ix_turn_event_at", "turn_event", ["at"], unique=False, postgresql_using="brin")
    op.create_index(
        "ix_turn_event_conversation",
        "turn_event",
        ["session_id", "number"],
        unique=False,
        postgresql_where=sa.text("kind = 'conversation'"),
    )
    _audit()
    _policies()
    _destinations()
    _spending()
    _budget_refusals()
    _grants()
    _names()
    _branches()
    _pull_requests()
    _person_tokens()
    _tools()
    _visits()
    _ci()
    _schedules()


def _audit() -> None:
    for statement in (NUMBERS, NEXT_NUMBER, KEEP, REMOVE, REMOVE_SOME):
        op.execute(statement)
    op.create_table(
        "audit_event",
        sa.Column(
            "number",
            sa.BigInteger(),
            server_default=sa.text("next_audit_number()"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("who", sa.String(), server_default="", nullable=False),
        sa.Column("surface", sa.String(), server_default="", nullable=False),
        sa.Column("place", sa.String(), server_default="", nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.String(), server_default="done", nullable=False),
        sa.Column(
            "body",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_at", "audit_event", ["at"], unique=False)
    op.create_index(
        "ix_audit_event_session_id",
        "audit_event",
        ["session_id"],
        unique=False,
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_index(
        "ix_audit_event_project_id",
        "audit_event",
        ["project_id", "number"],
        unique=False,
        postgresql_where=sa.text("project_id IS NOT NULL"),
    )
    op.create_table(
        "audit_batch",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "sealed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("audit_last", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_batch")),
    )
    op.create_table(
        "audit_part",
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch"],
            ["audit_batch.number"],
            name=op.f("fk_audit_part_batch"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch", "place", name=op.f("pk_audit_part")),
    )
    op.create_table(
        "audit_seal",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_audit_seal_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_audit_seal")),
    )
    for table in ("audit_event", "audit_batch", "audit_part"):
        for statement in (KEEP_ROWS, KEEP_WHOLE):
            op.execute(statement.format(table=table))


def _policies() -> None:
    op.create_table(
        "policy_version",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("set_by", sa.Uuid(), nullable=True),
        sa.Column(
            "set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["project.id"],
            name=op.f("fk_policy_version_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["set_by"], ["person.id"], name=op.f("fk_policy_version_set_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_version")),
        sa.UniqueConstraint(
            "project_id", "version", name=op.f("uq_policy_version_project_id_version")
        ),
    )


NUMBERS = "CREATE SEQUENCE audit_event_number"
NEXT_NUMBER = """
CREATE FUNCTION next_audit_number() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    -- The transaction's id comes first: who has a number is seen to be under way.
    PERFORM pg_current_xact_id();
    RETURN nextval('audit_event_number');
END $$
"""
KEEP = """
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('ona.removes_audit', true) = 'yes' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$
"""
REMOVE = """
CREATE FUNCTION remove_audit_batches(through bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
    count bigint;
BEGIN
    SELECT audit_last INTO last FROM audit_batch WHERE number = through;
    IF last IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM set_config('ona.removes_audit', 'yes', true);
    DELETE FROM audit_event WHERE number <= last;
    GET DIAGNOSTICS count = ROW_COUNT;
    DELETE FROM audit_part WHERE batch <= through;
    DELETE FROM audit_batch WHERE number < through;
    UPDATE audit_batch SET removed_at = now() WHERE number = through;
    PERFORM set_config('ona.removes_audit', 'no', true);
    RETURN count;
END $$
"""
REMOVE_SOME = """
CREATE FUNCTION remove_audit_events(numbers bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    count bigint;
BEGIN
    PERFORM set_config('ona.removes_audit', 'yes', true);
    DELETE FROM audit_event WHERE number = ANY(numbers);
    GET DIAGNOSTICS count = ROW_COUNT;
    PERFORM set_config('ona.removes_audit', 'no', true);
    RETURN count;
END $$
"""
KEEP_ROWS = """
CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION keep_audit()
"""
KEEP_WHOLE = """
CREATE TRIGGER keep_audit_whole BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit()
"""


def _destinations() -> None:
    op.create_table(
        "destination",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column(
            "asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("allowed_by", sa.Uuid(), nullable=True),
        sa.Column("allowed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["allowed_by"], ["person.id"], name=op.f("fk_destination_allowed_by")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_destination_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", "host", "port", name=op.f("pk_destination")),
    )


def _spending() -> None:
    op.create_table(
        "budget",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("limit_micro", sa.BigInteger(), nullable=True),
        sa.Column("extra_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", "day", name=op.f("pk_budget")),
    )
    op.create_table(
        "charge",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("provider", sa.String(), server_default="", nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "reserved",
                "settled",
                "estimated",
                name="chargestate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="reserved",
            nullable=False,
        ),
        sa.Column("worst_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge")),
    )
    op.create_index(
        "ix_charge_reserved",
        "charge",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("state = 'reserved'"),
    )
    op.create_index(op.f("ix_charge_day"), "charge", ["day"], unique=False)
    op.create_index(op.f("ix_charge_session_id"), "charge", ["session_id"], unique=False)
    op.create_index(op.f("ix_charge_turn_id"), "charge", ["turn_id"], unique=False)


def _budget_refusals() -> None:
    amounts = ("limit_micro", "spent_micro", "reserved_micro", "worst_micro", "more_micro")
    op.create_table(
        "budget_refusal",
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in amounts),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"],
            ["turn.id"],
            name=op.f("fk_budget_refusal_turn_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_budget_refusal")),
    )


def _grants() -> None:
    op.create_table(
        "turn_grant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("template_id", sa.Uuid(), nullable=True),
        sa.Column("turn_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column(
            "options",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "trace",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "issuing",
                "issued",
                "revoked",
                "ended",
                name="grantstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="issuing",
            nullable=False,
        ),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_turn_grant_session_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["template.id"],
            name=op.f("fk_turn_grant_template_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_turn_grant_turn_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn_grant")),
    )
    op.create_index(
        "ix_turn_grant_alive",
        "turn_grant",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('issuing', 'issued')"),
    )
    op.create_index(op.f("ix_turn_grant_session_id"), "turn_grant", ["session_id"], unique=False)
    op.create_index(op.f("ix_turn_grant_turn_id"), "turn_grant", ["turn_id"], unique=False)


def _branches() -> None:
    op.create_table(
        "branch",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("told", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_branch_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "repository", "ref", name=op.f("pk_branch")),
    )


def _pull_requests() -> None:
    op.create_table(
        "pull_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("draft", sa.Boolean(), nullable=False),
        sa.Column("head", sa.String(), nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("opened_by", sa.String(), nullable=False),
        sa.Column("asker_id", sa.Uuid(), nullable=False),
        sa.Column("by_asker", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("offer", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["asker_id"], ["person.id"], name=op.f("fk_pull_request_asker_id")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_pull_request_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pull_request")),
        sa.UniqueConstraint(
            "surface",
            "repository",
            "number",
            name=op.f("uq_pull_request_surface_repository_number"),
        ),
    )
    op.create_index(
        op.f("ix_pull_request_session_id"), "pull_request", ["session_id"], unique=False
    )


def _person_tokens() -> None:
    op.create_table(
        "person_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refreshing_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "kept_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_person_token_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_token")),
    )
    op.create_index(op.f("ix_person_token_person_id"), "person_token", ["person_id"], unique=False)


def _names() -> None:
    op.create_table(
        "machine_name",
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machine.id"],
            name=op.f("fk_machine_name_machine_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("machine_id", "name", name=op.f("pk_machine_name")),
    )
    op.create_index("ux_machine_name_number", "machine_name", ["machine_id", "number"], unique=True)


def _tools() -> None:
    now = sa.text("now()")
    op.create_table(
        "picture",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("caption", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_picture_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_picture_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_picture")),
    )
    op.create_index(op.f("ix_picture_session_id"), "picture", ["session_id"])
    op.create_index(op.f("ix_picture_turn_id"), "picture", ["turn_id"])
    op.create_table(
        "turn_diff",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_turn_diff_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_turn_diff_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn_diff")),
    )
    op.create_index(op.f("ix_turn_diff_session_id"), "turn_diff", ["session_id"])
    op.create_index(op.f("ix_turn_diff_turn_id"), "turn_diff", ["turn_id"])
    op.create_table(
        "pull_request_wish",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("draft", sa.Boolean(), nullable=True),
        sa.Column("turn_id", sa.Uuid(), nullable=True),
        sa.Column("draft_turn_id", sa.Uuid(), nullable=True),
        sa.Column("wished_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_pull_request_wish_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_pull_request_wish_turn_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["draft_turn_id"],
            ["turn.id"],
            name=op.f("fk_pull_request_wish_draft_turn_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("session_id", "repository", name=op.f("pk_pull_request_wish")),
    )
    _children()
    op.create_table(
        "note",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=True),
        sa.Column("session", sa.String(), server_default="", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_note_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["by_id"], ["person.id"], name=op.f("fk_note_by_id")),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_note")),
    )


def _children() -> None:
    op.create_table(
        "child_session",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("root_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        *(
            sa.ForeignKeyConstraint(
                [f"{name}_id"],
                ["session.id"],
                name=op.f(f"fk_child_session_{name}_id"),
                ondelete="CASCADE",
            )
            for name in ("session", "root", "parent")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_child_session")),
    )
    op.create_index(op.f("ix_child_session_root_id"), "child_session", ["root_id"])
    op.create_index(op.f("ix_child_session_parent_id"), "child_session", ["parent_id"])


def _visits() -> None:
    op.create_table(
        "relay",
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("socket", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["host.id"], name=op.f("fk_relay_host_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_relay")),
    )
    op.create_table(
        "preview",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_preview_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["created_by"], ["person.id"], name=op.f("fk_preview_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preview")),
    )
    op.create_index("ux_preview_token", "preview", ["token"], unique=True)
    op.create_index("ix_preview_session_id", "preview", ["session_id"])


def _ci() -> None:
    op.create_table(
        "ci_watch",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("rounds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("told", sa.String(), server_default="", nullable=False),
        sa.Column("state", sa.String(), server_default="", nullable=False),
        sa.Column("over", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_ci_watch_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turn.id"], name=op.f("fk_ci_watch_turn_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "repository", "ref", name=op.f("pk_ci_watch")),
    )
    op.create_index(
        "ix_ci_watch_due",
        "ci_watch",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("NOT over"),
    )
    op.create_index(op.f("ix_ci_watch_turn_id"), "ci_watch", ["turn_id"], unique=False)


def _schedules() -> None:
    op.create_index(
        "ix_thread_root",
        "thread",
        ["surface"],
        unique=False,
        postgresql_where=sa.text("place LIKE '%/~%'"),
    )
    op.create_table(
        "schedule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "rule",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("jitter_seconds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("misfire", sa.String(), server_default="late", nullable=False),
        sa.Column("grace_seconds", sa.Float(), server_default="60", nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "active",
                "paused",
                "ended",
                name="schedulestate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="active",
            nullable=False,
        ),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fire_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule")),
    )
    op.create_index(
        "ix_schedule_fire_at",
        "schedule",
        ["fire_at"],
        unique=False,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "firing",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "due",
                "done",
                "skipped",
                "failed",
                name="firingstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="due",
            nullable=False,
        ),
        sa.Column("missed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column(
            "act_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=True),
        sa.Column(
            "fired_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedule.id"], name=op.f("fk_firing_schedule_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firing")),
        sa.UniqueConstraint("schedule_id", "due_at", name=op.f("uq_firing_schedule_id_due_at")),
    )
    op.create_index(
        "ix_firing_due",
        "firing",
        ["act_at"],
        unique=False,
        postgresql_where=sa.text("state = 'due'"),
    )
    _reminders()
    _automations()


def _reminders() -> None:
    op.create_table(
        "reminder",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("short", sa.String(), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("thread_id", sa.Uuid(), nullable=True),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("is_prompt", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("only_changed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("by_agent", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("last_answer", sa.String(), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("said", sa.String(), server_default="", nullable=False),
        sa.Column(
            "targets",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("quiet", sa.String(), server_default="", nullable=False),
        sa.Column("language", sa.String(), server_default="", nullable=False),
        sa.Column("snoozed_id", sa.Uuid(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["schedule.id"],
            name=op.f("fk_reminder_schedule_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["person.id"], name=op.f("fk_reminder_creator_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_reminder_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_reminder_session_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["thread.id"], name=op.f("fk_reminder_thread_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["snoozed_id"], ["reminder.id"], name=op.f("fk_reminder_snoozed_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminder")),
        sa.UniqueConstraint("schedule_id", name=op.f("uq_reminder_schedule_id")),
        sa.UniqueConstraint("short", name=op.f("uq_reminder_short")),
    )
    op.create_index(op.f("ix_reminder_creator_id"), "reminder", ["creator_id"], unique=False)
    op.create_index(op.f("ix_reminder_project_id"), "reminder", ["project_id"], unique=False)
    op.create_index(op.f("ix_reminder_session_id"), "reminder", ["session_id"], unique=False)
    op.create_index(op.f("ix_reminder_snoozed_id"), "reminder", ["snoozed_id"], unique=False)
    op.create_index(op.f("ix_reminder_thread_id"), "reminder", ["thread_id"], unique=False)


def _automations() -> None:
    op.create_table(
        "automation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("short", sa.String(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("path", sa.String(), server_default="", nullable=False),
        sa.Column("commit", sa.String(), server_default="", nullable=False),
        sa.Column(
            "definition",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("digest", sa.String(), server_default="", nullable=False),
        sa.Column(
            "proposed",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("proposed_digest", sa.String(), server_default="", nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "proposed",
                "active",
                "paused",
                "removed",
                name="automationstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="proposed",
            nullable=False,
        ),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("runs_as_id", sa.Uuid(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["approved_by"],
            ["person.id"],
            name=op.f("fk_automation_approved_by"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["person.id"],
            name=op.f("fk_automation_creator_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["project.id"],
            name=op.f("fk_automation_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["runs_as_id"],
            ["person.id"],
            name=op.f("fk_automation_runs_as_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automation")),
        sa.UniqueConstraint("short", name=op.f("uq_automation_short")),
    )
    op.create_index(op.f("ix_automation_creator_id"), "automation", ["creator_id"], unique=False)
    op.create_index(op.f("ix_automation_project_id"), "automation", ["project_id"], unique=False)
    op.create_index(op.f("ix_automation_runs_as_id"), "automation", ["runs_as_id"], unique=False)
    op.create_index(
        "uq_automation_name",
        "automation",
        ["project_id", "name"],
        unique=True,
        postgresql_where=sa.text("state <> 'removed'"),
    )
    op.create_table(
        "automation_folder",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("commit", sa.String(), server_default="", nullable=False),
        sa.Column(
            "files",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "problem",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "look_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["project.id"],
            name=op.f("fk_automation_folder_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automation_folder")),
        sa.UniqueConstraint("project_id", name=op.f("uq_automation_folder_project_id")),
    )
    op.create_index("ix_automation_folder_look_at", "automation_folder", ["look_at"], unique=False)
    op.create_table(
        "automation_trigger",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("short", sa.String(), nullable=False),
        sa.Column("automation_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column(
            "options",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("schedule_id", sa.Uuid(), nullable=True),
        sa.Column("sealed", sa.String(), server_default="", nullable=False),
        sa.Column("match", sa.String(), server_default="", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["automation_id"],
            ["automation.id"],
            name=op.f("fk_automation_trigger_automation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["schedule.id"],
            name=op.f("fk_automation_trigger_schedule_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automation_trigger")),
        sa.UniqueConstraint(
            "automation_id", "place", name=op.f("uq_automation_trigger_automation_id_place")
        ),
        sa.UniqueConstraint("short", name=op.f("uq_automation_trigger_short")),
    )
    op.create_index(
        op.f("ix_automation_trigger_automation_id"),
        "automation_trigger",
        ["automation_id"],
        unique=False,
    )
    op.create_index(
        "ix_automation_trigger_kind", "automation_trigger", ["kind", "match"], unique=False
    )
    op.create_index(
        op.f("ix_automation_trigger_schedule_id"),
        "automation_trigger",
        ["schedule_id"],
        unique=False,
    )
    op.create_table(
        "automation_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("automation_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column(
            "said",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["automation_id"],
            ["automation.id"],
            name=op.f("fk_automation_notice_automation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automation_notice")),
        sa.UniqueConstraint(
            "automation_id", "key", name=op.f("uq_automation_notice_automation_id_key")
        ),
    )
    op.create_index(
        "ix_automation_notice_untold",
        "automation_notice",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("told_at IS NULL"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("short", sa.String(), nullable=False),
        sa.Column("automation_id", sa.Uuid(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column(
            "definition",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "trigger",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("runs_as_id", sa.Uuid(), nullable=False),
        sa.Column("started_by", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column(
            "reports",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("stopped_by", sa.Uuid(), nullable=True),
        sa.Column("stop_why", sa.String(), server_default="", nullable=False),
        sa.Column(
            "look_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["automation_id"],
            ["automation.id"],
            name=op.f("fk_run_automation_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_run_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["runs_as_id"], ["person.id"], name=op.f("fk_run_runs_as_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_run_session_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["started_by"], ["person.id"], name=op.f("fk_run_started_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["stopped_by"], ["person.id"], name=op.f("fk_run_stopped_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("automation_id", "key", name=op.f("uq_run_automation_id_key")),
        sa.UniqueConstraint("short", name=op.f("uq_run_short")),
    )
    op.create_index(op.f("ix_run_automation_id"), "run", ["automation_id"], unique=False)
    op.create_index(
        "ix_run_open",
        "run",
        ["look_at"],
        unique=False,
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_index(op.f("ix_run_project_id"), "run", ["project_id"], unique=False)
    op.create_index(op.f("ix_run_runs_as_id"), "run", ["runs_as_id"], unique=False)
    op.create_index(op.f("ix_run_session_id"), "run", ["session_id"], unique=False)
    op.create_table(
        "trigger_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("trigger_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("about", sa.String(), server_default="", nullable=False),
        sa.Column(
            "facts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("repository", sa.String(), server_default="", nullable=False),
        sa.Column("state", sa.String(), server_default="waiting", nullable=False),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("into_id", sa.Uuid(), nullable=True),
        sa.Column("cause_id", sa.Uuid(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "act_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["cause_id"], ["run.id"], name=op.f("fk_trigger_event_cause_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["into_id"],
            ["trigger_event.id"],
            name=op.f("fk_trigger_event_into_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_trigger_event_run_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["trigger_id"],
            ["automation_trigger.id"],
            name=op.f("fk_trigger_event_trigger_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trigger_event")),
        sa.UniqueConstraint("trigger_id", "key", name=op.f("uq_trigger_event_trigger_id_key")),
    )
    op.create_index(
        "ix_trigger_event_due",
        "trigger_event",
        ["act_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(op.f("ix_trigger_event_cause_id"), "trigger_event", ["cause_id"], unique=False)
    op.create_index(op.f("ix_trigger_event_into_id"), "trigger_event", ["into_id"], unique=False)
    op.create_index(
        "ix_trigger_event_recent", "trigger_event", ["trigger_id", "created_at"], unique=False
    )
    op.create_index(op.f("ix_trigger_event_run_id"), "trigger_event", ["run_id"], unique=False)
    op.create_table(
        "run_target",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("url", sa.String(), server_default="", nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "running",
                "done",
                "failed",
                "skipped",
                "stopped",
                name="targetstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            server_default="waiting",
            nullable=False,
        ),
        sa.Column("why", sa.String(), server_default="", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="1", nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column(
            "earlier",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("prompt_id", sa.Uuid(), nullable=True),
        sa.Column("step", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "results",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("report", sa.String(), server_default="", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("begun_seconds", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["project.id"],
            name=op.f("fk_run_target_project_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["prompt.id"], name=op.f("fk_run_target_prompt_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_run_target_run_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_run_target_session_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_target")),
        sa.UniqueConstraint("run_id", "place", name=op.f("uq_run_target_run_id_place")),
    )
    op.create_index(op.f("ix_run_target_project_id"), "run_target", ["project_id"], unique=False)
    op.create_index(op.f("ix_run_target_prompt_id"), "run_target", ["prompt_id"], unique=False)
    op.create_index(
        "ix_run_target_running",
        "run_target",
        ["run_id"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(op.f("ix_run_target_session_id"), "run_target", ["session_id"], unique=False)

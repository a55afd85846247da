"""Create everything: identity, assets, work, review, money, schedules.

Why: the first shape of the house. It runs on an empty database, so no running code is disturbed.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

# Double entry: the lines of one transfer sum to zero in each currency, looked at when the transaction
# commits, because the lines arrive one by one.
LEDGER_BALANCES = """
CREATE FUNCTION ledger_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM ledger_entries WHERE transfer_id = NEW.transfer_id
        GROUP BY currency HAVING sum(amount) <> 0
    ) THEN
        RAISE EXCEPTION 'ledger transfer % does not sum to zero', NEW.transfer_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_balances AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_balances();
"""

# An account's balance follows its entries, whoever writes them, and nothing else can change it.
LEDGER_CARRIES = """
CREATE FUNCTION ledger_carries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ledger_accounts SET balance = balance + NEW.amount WHERE id = NEW.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER carries AFTER INSERT ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_carries();
"""

# Append-only tables refuse edits from anyone; rows leave only with their whole workspace or job.
# A cascade runs inside a trigger, so depth 0 is a statement that names the ledger itself.
LEDGER_IMMUTABLE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER kept BEFORE DELETE ON ledger_entries
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE ON ledger_transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER kept BEFORE DELETE ON ledger_transfers
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER carried BEFORE UPDATE ON ledger_accounts
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER kept BEFORE DELETE ON ledger_accounts
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OF script_id, number, text, scenes, author, origin ON script_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mime", sa.String(length=100), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("size >= 0", name=op.f("ck_blobs_size_not_negative")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blobs")),
    )
    op.create_table(
        "callback_events",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=300), nullable=False),
        sa.Column("answers", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("ask", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("client_token", sa.String(length=64), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_events")),
    )
    op.create_index(
        op.f("ix_callback_events_provider_event_id"),
        "callback_events",
        ["provider", "event_id"],
        unique=True,
    )
    op.create_index(
        op.f("ix_callback_events_provider_received_at"),
        "callback_events",
        ["provider", "received_at"],
        unique=False,
    )
    op.create_index(
        "ix_callback_events_open",
        "callback_events",
        ["next_try_at"],
        unique=False,
        postgresql_where=sa.text("next_try_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_callback_events_received_at"), "callback_events", ["received_at"], unique=False)
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("beaten_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "paces",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("variant", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.CheckConstraint("seconds >= 0", name=op.f("ck_paces_seconds_not_negative")),
        sa.PrimaryKeyConstraint("kind", "variant", name=op.f("pk_paces")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("position('@' in email) > 1", name=op.f("ck_users_email_has_at")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_email_lower", "users", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "workspaces",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "activities",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.UUID(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_activities_user_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_activities_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activities")),
    )
    op.create_index(op.f("ix_activities_workspace_id_id"), "activities", ["workspace_id", "id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_api_keys_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_keys_key_sha256")),
    )
    op.create_index(
        op.f("ix_api_keys_workspace_id_created_at"), "api_keys", ["workspace_id", "created_at"], unique=False
    )
    op.create_table(
        "assets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "project",
                "collection",
                "film",
                "script",
                "character",
                "shot",
                "take",
                "image",
                "clip",
                "audio",
                "font",
                "document",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "broken",
                "archived",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="active",
            nullable=False,
        ),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_by", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_assets_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_assets_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
    )
    op.create_index(
        "ix_assets_all",
        "assets",
        ["workspace_id", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_assets_list",
        "assets",
        ["workspace_id", "kind", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "budgets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column(
            "scope",
            sa.Enum(
                "job",
                "project",
                "workspace_day",
                name="scope",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("scope_id", sa.UUID(), nullable=True),
        sa.Column("limit_amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("limit_amount >= 0", name=op.f("ck_budgets_limit_not_negative")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_budgets_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    op.create_index(
        "uq_budgets_scope",
        "budgets",
        ["workspace_id", "scope", "scope_id", "currency"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_idempotency_keys_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "credits",
                "held",
                "spent",
                "funding",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_ledger_accounts_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint(
            "workspace_id", "kind", "currency", name=op.f("uq_ledger_accounts_workspace_id_kind_currency")
        ),
        sa.UniqueConstraint(
            "id", "workspace_id", "currency", name=op.f("uq_ledger_accounts_id_workspace_id_currency")
        ),
    )
    op.create_table(
        "ledger_transfers",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column(
            "posting",
            sa.Enum(
                "top_up",
                "opening",
                "hold",
                "capture",
                "release",
                "refund",
                name="posting",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("idempotency_key", sa.String(length=300), nullable=False),
        sa.Column("hold_id", sa.UUID(), nullable=True),
        sa.Column("job_id", sa.UUID(), nullable=True),
        sa.Column("submission_id", sa.UUID(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_ledger_transfers_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transfers")),
        sa.UniqueConstraint(
            "workspace_id", "idempotency_key", name=op.f("uq_ledger_transfers_workspace_id_idempotency_key")
        ),
    )
    op.create_index(op.f("ix_ledger_transfers_job_id"), "ledger_transfers", ["job_id"], unique=False)
    op.create_index(
        op.f("ix_ledger_transfers_workspace_id_id"), "ledger_transfers", ["workspace_id", "id"], unique=False
    )
    op.create_table(
        "memberships",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "owner",
                "producer",
                "reviewer",
                "viewer",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_memberships_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_memberships_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_table(
        "tags",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_tags_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_tags_workspace_id_name")),
    )
    op.create_table(
        "asset_hashes",
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column(
            "algo",
            sa.Enum(
                "picture",
                "sprite",
                "frame",
                "chromaprint",
                "pcm",
                name="algo",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("hash", postgresql.BIT(length=64), nullable=True),
        sa.Column(
            "b0",
            sa.Integer(),
            sa.Computed("(substring(hash, 1, 16))::integer", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "b1",
            sa.Integer(),
            sa.Computed("(substring(hash, 17, 16))::integer", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "b2",
            sa.Integer(),
            sa.Computed("(substring(hash, 33, 16))::integer", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "b3",
            sa.Integer(),
            sa.Computed("(substring(hash, 49, 16))::integer", persisted=True),
            nullable=True,
        ),
        sa.Column("items", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("terms", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.CheckConstraint("(hash IS NULL) <> (items IS NULL)", name=op.f("ck_asset_hashes_hash_or_items")),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_asset_hashes_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_asset_hashes_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("asset_id", "algo", "version", "position", name=op.f("pk_asset_hashes")),
    )
    op.create_index(
        op.f("ix_asset_hashes_terms"),
        "asset_hashes",
        ["terms"],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("terms IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_asset_hashes_workspace_id_algo_b0"),
        "asset_hashes",
        ["workspace_id", "algo", "b0"],
        unique=False,
    )
    op.create_index(
        op.f("ix_asset_hashes_workspace_id_algo_b1"),
        "asset_hashes",
        ["workspace_id", "algo", "b1"],
        unique=False,
    )
    op.create_index(
        op.f("ix_asset_hashes_workspace_id_algo_b2"),
        "asset_hashes",
        ["workspace_id", "algo", "b2"],
        unique=False,
    )
    op.create_index(
        op.f("ix_asset_hashes_workspace_id_algo_b3"),
        "asset_hashes",
        ["workspace_id", "algo", "b3"],
        unique=False,
    )
    op.create_table(
        "asset_relationships",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("parent_id", sa.UUID(), nullable=False),
        sa.Column("child_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["child_id"], ["assets.id"], name=op.f("fk_asset_relationships_child_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["assets.id"], name=op.f("fk_asset_relationships_parent_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_asset_relationships_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_relationships")),
        sa.UniqueConstraint(
            "parent_id", "child_id", "kind", name=op.f("uq_asset_relationships_parent_id_child_id_kind")
        ),
    )
    op.create_index(
        op.f("ix_asset_relationships_child_id"), "asset_relationships", ["child_id"], unique=False
    )
    op.create_table(
        "asset_tags",
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("tag_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_asset_tags_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tag_id"], ["tags.id"], name=op.f("fk_asset_tags_tag_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("asset_id", "tag_id", name=op.f("pk_asset_tags")),
    )
    op.create_index(op.f("ix_asset_tags_tag_id"), "asset_tags", ["tag_id"], unique=False)
    op.create_table(
        "collections",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_collections_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
    )
    op.create_table(
        "comments",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("author_id", sa.UUID(), nullable=True),
        sa.Column("take_time", sa.Double(), nullable=True),
        sa.Column("region", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_comments_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_comments_author_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_comments_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comments")),
    )
    op.create_index(op.f("ix_comments_asset_id_id"), "comments", ["asset_id", "id"], unique=False)
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("transfer_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_ledger_entries_amount_not_zero")),
        sa.ForeignKeyConstraint(
            ["account_id", "workspace_id", "currency"],
            ["ledger_accounts.id", "ledger_accounts.workspace_id", "ledger_accounts.currency"],
            name="fk_ledger_entries_account",
        ),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["ledger_transfers.id"], name=op.f("fk_ledger_entries_transfer_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_ledger_entries_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint(
            "transfer_id", "account_id", name=op.f("uq_ledger_entries_transfer_id_account_id")
        ),
    )
    op.create_index(op.f("ix_ledger_entries_account_id"), "ledger_entries", ["account_id"], unique=False)
    op.create_table(
        "media_assets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sha1", sa.String(length=40), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("fps", sa.Float(), nullable=True),
        sa.Column("codec", sa.String(length=64), nullable=True),
        sa.Column("channels", sa.SmallInteger(), nullable=True),
        sa.Column("sample_rate", sa.Integer(), nullable=True),
        sa.Column("quality_score", sa.Float(), nullable=True),
        sa.Column(
            "quality_parts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "quality_flags", postgresql.ARRAY(sa.String(length=32)), server_default="{}", nullable=False
        ),
        sa.Column("score_version", sa.SmallInteger(), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_media_assets_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_assets")),
    )
    op.create_index(op.f("ix_media_assets_sha1"), "media_assets", ["sha1"], unique=False)
    op.create_index(op.f("ix_media_assets_sha256"), "media_assets", ["sha256"], unique=False)
    op.create_table(
        "origins",
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("foreign_id", sa.String(length=500), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("landing_url", sa.Text(), nullable=True),
        sa.Column("canonical_url", sa.Text(), nullable=True),
        sa.Column("media_url", sa.Text(), nullable=True),
        sa.Column("use_url", sa.Text(), nullable=True),
        sa.Column("creator", sa.Text(), nullable=True),
        sa.Column("creator_url", sa.Text(), nullable=True),
        sa.Column("licence", sa.String(length=100), nullable=False),
        sa.Column(
            "licence_class",
            sa.Enum(
                "free",
                "attribution",
                "commercial",
                "noncommercial",
                "custom",
                name="licence_class",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("licence_url", sa.Text(), nullable=True),
        sa.Column("licence_facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("raw_licence", sa.Text(), nullable=False),
        sa.Column("attribution", sa.Text(), nullable=True),
        sa.Column(
            "restrictions", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False
        ),
        sa.Column(
            "licence_proof", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column(
            "retrieved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("licence <> ''", name=op.f("ck_origins_licence_present")),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_origins_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_origins_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_origins")),
        sa.UniqueConstraint(
            "workspace_id", "source", "foreign_id", name=op.f("uq_origins_workspace_id_source_foreign_id")
        ),
    )
    op.create_index(
        op.f("ix_origins_workspace_id_canonical_url"),
        "origins",
        ["workspace_id", "canonical_url"],
        unique=False,
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(
                "development",
                "pre_production",
                "production",
                "post_production",
                "delivered",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("defaults", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_projects_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_table(
        "renditions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "original",
                "proxy",
                "poster",
                "thumbnail",
                "cleaned",
                "report",
                "segment",
                "segment_proxy",
                "sound",
                "narration",
                "captions",
                "master",
                "export",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("blob_sha256", sa.String(length=64), nullable=False),
        sa.Column("filename", sa.String(length=300), nullable=False),
        sa.Column("mime", sa.String(length=100), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("bitrate", sa.BigInteger(), nullable=True),
        sa.Column("codec", sa.String(length=64), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_renditions_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["blob_sha256"], ["blobs.sha256"], name=op.f("fk_renditions_blob_sha256")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_renditions_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_renditions")),
    )
    op.create_index("ix_renditions_asset", "renditions", ["asset_id", "role", "created_at"], unique=False)
    op.create_index(op.f("ix_renditions_blob_sha256"), "renditions", ["blob_sha256"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("filename", sa.String(length=300), nullable=False),
        sa.Column("declared_mime", sa.String(length=100), nullable=False),
        sa.Column("declared_size", sa.BigInteger(), nullable=True),
        sa.Column("licence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("blob_sha256", sa.String(length=64), nullable=True),
        sa.Column("asset_id", sa.UUID(), nullable=True),
        sa.Column("created_by", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("received", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now() + interval '1 day'"),
            nullable=False,
        ),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("received >= 0", name=op.f("ck_uploads_received_not_negative")),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_uploads_asset_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["blob_sha256"], ["blobs.sha256"], name=op.f("fk_uploads_blob_sha256")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_uploads_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_uploads_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(
        "ix_uploads_unfinished",
        "uploads",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("blob_sha256 IS NULL"),
    )
    op.create_index(
        op.f("ix_uploads_workspace_id_created_at"), "uploads", ["workspace_id", "created_at"], unique=False
    )
    op.create_table(
        "characters",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("appearance", sa.Text(), nullable=False),
        sa.Column("wardrobe", sa.Text(), nullable=False),
        sa.Column("voice", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_characters_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_characters_project_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_characters")),
    )
    op.create_table(
        "collection_members",
        sa.Column("collection_id", sa.UUID(), nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_collection_members_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
            name=op.f("fk_collection_members_collection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("collection_id", "asset_id", name=op.f("pk_collection_members")),
    )
    op.create_table(
        "scripts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("current_version_id", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_scripts_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_scripts_project_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scripts")),
    )
    op.create_table(
        "films",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("script_id", sa.UUID(), nullable=True),
        sa.Column("master_rendition_id", sa.UUID(), nullable=True),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fps", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("target_duration", sa.Float(), nullable=True),
        sa.Column("voice", sa.String(length=100), nullable=True),
        sa.Column("music", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("caption_style", sa.String(length=32), nullable=False),
        sa.Column("seo", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint("fps > 0 AND fps <= 60", name=op.f("ck_films_fps_sane")),
        sa.CheckConstraint(
            "width > 0 AND height > 0 AND mod(width, 2) = 0 AND mod(height, 2) = 0",
            name=op.f("ck_films_size_even"),
        ),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_films_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_films_project_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["script_id"], ["scripts.id"], name=op.f("fk_films_script_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_films")),
    )
    op.create_index(op.f("ix_films_project_id"), "films", ["project_id"], unique=False)
    op.create_table(
        "script_versions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("script_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("scenes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_script_versions_number_positive")),
        sa.ForeignKeyConstraint(
            ["script_id"], ["scripts.id"], name=op.f("fk_script_versions_script_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_script_versions_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_script_versions")),
        sa.UniqueConstraint("script_id", "number", name=op.f("uq_script_versions_script_id_number")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "film",
                "text_removal",
                "scrape",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("display_name", sa.String(length=300), server_default="", nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "waiting",
                "cancelling",
                "cancelled",
                "failed",
                "succeeded",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("phase", sa.String(length=32), nullable=True),
        sa.Column(
            "waits_for",
            sa.Enum(
                "provider",
                "reviewer",
                "budget",
                name="waits_for",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("waits_reason", sa.Text(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("course", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("remaking", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("gates", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("stop_after", sa.String(length=32), nullable=True),
        sa.Column("film_id", sa.UUID(), nullable=True),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("requested_by", sa.UUID(), nullable=True),
        sa.Column("request_id", sa.String(length=100), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("warnings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("event_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("advanced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("timeout_seconds", sa.Integer(), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('cancelled', 'failed', 'succeeded'))",
            name=op.f("ck_jobs_finished_when_ended"),
        ),
        sa.CheckConstraint(
            "(waits_for IS NOT NULL) = (state = 'waiting')", name=op.f("ck_jobs_waits_only_when_waiting")
        ),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name=op.f("ck_jobs_progress_is_share")),
        sa.ForeignKeyConstraint(["film_id"], ["films.id"], name=op.f("fk_jobs_film_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_jobs_project_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name=op.f("fk_jobs_requested_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_jobs_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_jobs_alive",
        "jobs",
        ["advanced_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running', 'waiting', 'cancelling')"),
    )
    op.create_index(
        "ix_jobs_deadline",
        "jobs",
        ["deadline_at"],
        unique=False,
        postgresql_where=sa.text("deadline_at IS NOT NULL AND state IN ('queued', 'running', 'waiting')"),
    )
    op.create_index(op.f("ix_jobs_film_id"), "jobs", ["film_id"], unique=False)
    op.create_index(
        "ix_jobs_list",
        "jobs",
        ["workspace_id", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_jobs_list_kind", "jobs", ["workspace_id", "kind", "id"], unique=False)
    op.create_index("ix_jobs_list_state", "jobs", ["workspace_id", "state", "id"], unique=False)
    op.create_index(op.f("ix_jobs_project_id"), "jobs", ["project_id"], unique=False)
    op.create_table(
        "shots",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("film_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("scene", sa.Integer(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("narration", sa.Text(), nullable=False),
        sa.Column("visual_prompt", sa.Text(), nullable=False),
        sa.Column("search_words", postgresql.ARRAY(sa.String(length=100)), nullable=False),
        sa.Column("camera", sa.String(length=32), nullable=True),
        sa.Column("title", sa.String(length=300), nullable=True),
        sa.Column("asked_duration", sa.Float(), nullable=True),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("clip", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("audio", sa.Boolean(), nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("frames", sa.Integer(), nullable=True),
        sa.Column("words", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("selected_take_id", sa.UUID(), nullable=True),
        sa.Column("script_version_id", sa.UUID(), nullable=True),
        sa.CheckConstraint("position >= 0", name=op.f("ck_shots_position_not_negative")),
        sa.ForeignKeyConstraint(["film_id"], ["films.id"], name=op.f("fk_shots_film_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_shots_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["script_version_id"],
            ["script_versions.id"],
            name=op.f("fk_shots_script_version_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shots")),
    )
    op.create_index("ix_shots_film_position", "shots", ["film_id", "position"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=True),
        sa.Column(
            "gate",
            sa.Enum(
                "script", "takes", "cut", name="gate", native_enum=False, create_constraint=True, length=32
            ),
            nullable=True,
        ),
        sa.Column("asset_id", sa.UUID(), nullable=True),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("requested_by", sa.UUID(), nullable=True),
        sa.Column("assignee_id", sa.UUID(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "answered",
                "expired",
                "withdrawn",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "response",
            sa.Enum(
                "approve",
                "reject",
                "edit",
                "retry",
                name="response",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("instructions", sa.Text(), nullable=False),
        sa.Column("edit", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("responded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("responded_by", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(response IS NOT NULL) = (state = 'answered')", name=op.f("ck_approvals_answer_when_answered")
        ),
        sa.CheckConstraint("(gate IS NULL) OR (job_id IS NOT NULL)", name=op.f("ck_approvals_gate_has_job")),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_approvals_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["assignee_id"], ["users.id"], name=op.f("fk_approvals_assignee_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_approvals_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name=op.f("fk_approvals_requested_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["responded_by"], ["users.id"], name=op.f("fk_approvals_responded_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_approvals_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index(op.f("ix_approvals_job_id"), "approvals", ["job_id"], unique=False)
    op.create_index(
        "ix_approvals_pending",
        "approvals",
        ["workspace_id", "priority", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "uq_approvals_pending_gate",
        "approvals",
        ["job_id", "gate"],
        unique=True,
        postgresql_where=sa.text("state = 'pending' AND gate IS NOT NULL"),
    )
    op.create_table(
        "candidates",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("film_id", sa.UUID(), nullable=False),
        sa.Column("shot_id", sa.UUID(), nullable=True),
        sa.Column("lender_id", sa.UUID(), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("foreign_id", sa.String(length=500), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "found",
                "chosen",
                "ranked",
                "recently_used",
                "used_elsewhere",
                "near_duplicate",
                "too_small",
                "shown_before",
                "failed",
                "refused",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="found",
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("score_version", sa.SmallInteger(), nullable=False),
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("same_as", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("perceptual_hash", sa.String(length=16), nullable=True),
        sa.Column("small", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_candidates_asset_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["film_id"], ["films.id"], name=op.f("fk_candidates_film_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["lender_id"], ["shots.id"], name=op.f("fk_candidates_lender_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["shot_id"], ["shots.id"], name=op.f("fk_candidates_shot_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_candidates_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidates")),
        sa.UniqueConstraint(
            "film_id",
            "shot_id",
            "source",
            "foreign_id",
            name="uq_candidates_item",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_candidates_asset_id"), "candidates", ["asset_id"], unique=False)
    op.create_index(op.f("ix_candidates_lender_id"), "candidates", ["lender_id"], unique=False)
    op.create_index(
        op.f("ix_candidates_shot_id_position"), "candidates", ["shot_id", "position"], unique=False
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("asset_id", sa.UUID(), nullable=True),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_events_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("job_id", "seq", name=op.f("uq_events_job_id_seq")),
    )
    op.create_index("ix_events_workspace", "events", ["workspace_id", "id"], unique=False)
    op.create_table(
        "source_errors",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=True),
        sa.Column("step", sa.String(length=140), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_source_errors_job_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_source_errors_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_errors")),
    )
    op.create_index(op.f("ix_source_errors_created_at"), "source_errors", ["created_at"], unique=False)
    op.create_index(op.f("ix_source_errors_job_id"), "source_errors", ["job_id"], unique=False)
    op.create_index("ix_source_errors_list", "source_errors", ["workspace_id", "source", "id"], unique=False)
    op.create_table(
        "source_standings",
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("alerted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_source_standings_failures_not_negative")),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_source_standings_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "source", name=op.f("pk_source_standings")),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("key", sa.String(length=200), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("overrun", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "captured",
                "released",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "captured = 0 OR state = 'captured'", name=op.f("ck_holds_captured_when_captured")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_holds_amount_positive")),
        sa.CheckConstraint("captured >= 0 AND captured <= amount", name=op.f("ck_holds_captured_within")),
        sa.CheckConstraint("refunded >= 0 AND refunded <= captured", name=op.f("ck_holds_refunded_within")),
        sa.CheckConstraint("overrun >= 0", name=op.f("ck_holds_overrun_not_negative")),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (state = 'open')", name=op.f("ck_holds_closed_when_not_open")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_holds_job_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_holds_project_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_holds_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_job_id"), "holds", ["job_id"], unique=False)
    op.create_index(
        "ix_holds_open", "holds", ["expires_at"], unique=False, postgresql_where=sa.text("state = 'open'")
    )
    op.create_index(op.f("ix_holds_project_id"), "holds", ["project_id"], unique=False)
    op.create_index("uq_holds_key", "holds", ["workspace_id", "key"], unique=True)
    op.create_index(
        op.f("ix_holds_workspace_id_created_at"), "holds", ["workspace_id", "created_at"], unique=False
    )
    op.create_table(
        "steps",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("phase", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.UUID(), nullable=True),
        sa.Column("variant", sa.String(length=64), server_default="", nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("needs", postgresql.ARRAY(sa.UUID()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "ready",
                "running",
                "succeeded",
                "failed",
                "skipped",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=True),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("reused_from", sa.UUID(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("short_amount", sa.BigInteger(), nullable=True),
        sa.Column("short_currency", sa.String(length=3), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("task_id", sa.String(length=64), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("weight", sa.Float(), server_default="1", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(lease_until IS NOT NULL) = (state = 'running')", name=op.f("ck_steps_lease_while_running")
        ),
        sa.CheckConstraint("attempt >= 0", name=op.f("ck_steps_attempt_not_negative")),
        sa.CheckConstraint(
            "(short_amount IS NULL) = (short_currency IS NULL)",
            name=op.f("ck_steps_short_amount_has_currency"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_steps_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["reused_from"], ["steps.id"], name=op.f("fk_steps_reused_from"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_steps_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_steps")),
    )
    op.create_index(
        "ix_steps_leases",
        "steps",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_steps_ready", "steps", ["not_before"], unique=False, postgresql_where=sa.text("state = 'ready'")
    )
    op.create_index(
        "ix_steps_reuse",
        "steps",
        ["workspace_id", "input_hash"],
        unique=False,
        postgresql_where=sa.text("input_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_steps_short",
        "steps",
        ["workspace_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('ready', 'running') AND short_amount IS NOT NULL"),
    )
    op.create_index(
        "uq_steps_job_kind_subject_variant",
        "steps",
        ["job_id", "kind", "subject_id", "variant"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "takes",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("shot_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "origin",
            sa.Enum(
                "stock",
                "generated",
                "upload",
                "rendered",
                name="origin",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("source_asset_id", sa.UUID(), nullable=True),
        sa.Column("instructions", sa.Text(), nullable=False),
        sa.Column("quality", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "validation",
            sa.Enum(
                "neutral",
                "approved",
                "rejected",
                name="validation",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("input_hash", sa.String(length=64), nullable=True),
        sa.CheckConstraint("number > 0", name=op.f("ck_takes_number_positive")),
        sa.ForeignKeyConstraint(["id"], ["assets.id"], name=op.f("fk_takes_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["shot_id"], ["shots.id"], name=op.f("fk_takes_shot_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["source_asset_id"], ["assets.id"], name=op.f("fk_takes_source_asset_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takes")),
        sa.UniqueConstraint("shot_id", "number", name=op.f("uq_takes_shot_id_number")),
    )
    op.create_table(
        "attempts",
        sa.Column("step_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("task_id", sa.String(length=64), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("figures", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["step_id"], ["steps.id"], name=op.f("fk_attempts_step_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("step_id", "number", name=op.f("pk_attempts")),
    )
    op.create_table(
        "derivations",
        sa.Column("child_rendition_id", sa.UUID(), nullable=False),
        sa.Column("parent_rendition_id", sa.UUID(), nullable=False),
        sa.Column("step_id", sa.UUID(), nullable=True),
        sa.Column("tool", sa.String(length=200), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["child_rendition_id"],
            ["renditions.id"],
            name=op.f("fk_derivations_child_rendition_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["parent_rendition_id"],
            ["renditions.id"],
            name=op.f("fk_derivations_parent_rendition_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["step_id"], ["steps.id"], name=op.f("fk_derivations_step_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("child_rendition_id", "parent_rendition_id", name=op.f("pk_derivations")),
    )
    op.create_index(
        op.f("ix_derivations_parent_rendition_id"), "derivations", ["parent_rendition_id"], unique=False
    )
    op.create_index(op.f("ix_derivations_step_id"), "derivations", ["step_id"], unique=False)
    op.create_table(
        "submissions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("step_id", sa.UUID(), nullable=True),
        sa.Column("shot_id", sa.UUID(), nullable=True),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=False),
        sa.Column("client_token", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "intended",
                "sending",
                "unconfirmed",
                "submitted",
                "running",
                "answered",
                "succeeded",
                "failed",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("vendor_id", sa.String(length=300), nullable=True),
        sa.Column("receipt", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("routing", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_poll_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quote", sa.BigInteger(), nullable=False),
        sa.Column("actual_cost", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("hold_id", sa.UUID(), nullable=True),
        sa.Column("take_id", sa.UUID(), nullable=True),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state NOT IN ('submitted', 'running', 'answered', 'succeeded') OR vendor_id IS NOT NULL",
            name=op.f("ck_submissions_accepted_has_vendor_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hold_id"], ["holds.id"], name=op.f("fk_submissions_hold_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_submissions_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["shot_id"], ["shots.id"], name=op.f("fk_submissions_shot_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["step_id"], ["steps.id"], name=op.f("fk_submissions_step_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["take_id"], ["takes.id"], name=op.f("fk_submissions_take_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_submissions_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sa.UniqueConstraint("client_token", name=op.f("uq_submissions_client_token")),
    )
    op.create_index(op.f("ix_submissions_job_id"), "submissions", ["job_id"], unique=False)
    op.create_index(
        op.f("ix_submissions_workspace_id_id"), "submissions", ["workspace_id", "id"], unique=False
    )
    op.create_index(
        "ix_submissions_due",
        "submissions",
        ["next_poll_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('sending', 'unconfirmed', 'answered')"),
    )
    op.create_index(
        "ix_submissions_polls",
        "submissions",
        ["provider", "endpoint", "next_poll_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('submitted', 'running')"),
    )
    op.create_index(
        "ix_submissions_unsent",
        "submissions",
        ["provider", "endpoint", "next_poll_at"],
        unique=False,
        postgresql_where=sa.text("state = 'intended' AND deadline_at IS NOT NULL"),
    )
    op.create_index(
        "ix_submissions_deadlines",
        "submissions",
        ["deadline_at"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered') "
            "AND given_up_at IS NULL"
        ),
    )
    op.create_index(
        "ix_submissions_unwanted",
        "submissions",
        ["cancel_at"],
        unique=False,
        postgresql_where=sa.text("cancel_at IS NOT NULL"),
    )
    op.create_index(
        "ix_submissions_given_up",
        "submissions",
        ["given_up_at"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered') "
            "AND given_up_at IS NOT NULL"
        ),
    )
    op.create_index(
        "uq_submissions_open",
        "submissions",
        ["shot_id", "purpose", "input_hash"],
        unique=True,
        postgresql_where=sa.text(
            "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered')"
        ),
    )
    op.create_index(
        "uq_submissions_open_step",
        "submissions",
        ["step_id", "purpose", "input_hash"],
        unique=True,
        postgresql_where=sa.text(
            "shot_id IS NULL AND "
            "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered')"
        ),
    )
    op.create_index(
        "uq_submissions_vendor_id",
        "submissions",
        ["provider", "vendor_id"],
        unique=True,
        postgresql_where=sa.text("vendor_id IS NOT NULL"),
    )
    # Tables that point at each other get these once both exist.
    op.create_table(
        "schedules",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("cron", sa.String(length=100), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column(
            "catch_up",
            sa.Enum("skip", "once", name="catch_up", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("paused", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "film",
                "text_removal",
                "scrape",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("gates", postgresql.ARRAY(sa.String(length=32)), nullable=False),
        sa.Column("stop_after", sa.String(length=32), nullable=True),
        sa.Column("budget", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("display_name", sa.String(length=300), nullable=True),
        sa.Column("timeout_minutes", sa.Float(), nullable=True),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("created_by", sa.UUID(), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_job_id", sa.UUID(), nullable=True),
        sa.Column(
            "last_outcome",
            sa.Enum(
                "submitted",
                "missed",
                "refused",
                name="last_outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "NOT (paused AND next_run_at IS NOT NULL)", name=op.f("ck_schedules_nothing_due_while_paused")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_schedules_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["last_job_id"], ["jobs.id"], name=op.f("fk_schedules_last_job_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_schedules_project_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_schedules_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index(
        "ix_schedules_due",
        "schedules",
        ["next_run_at"],
        unique=False,
        postgresql_where=sa.text("next_run_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_schedules_workspace_id_id"), "schedules", ["workspace_id", "id"], unique=False)
    op.create_table(
        "schedule_runs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("workspace_id", sa.UUID(), nullable=False),
        sa.Column("schedule_id", sa.UUID(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "submitted",
                "missed",
                "refused",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("job_id", sa.UUID(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "job_id IS NULL OR outcome = 'submitted'", name=op.f("ck_schedule_runs_job_when_submitted")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_schedule_runs_job_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["schedules.id"],
            name=op.f("fk_schedule_runs_schedule_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_schedule_runs_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_runs")),
        sa.UniqueConstraint("schedule_id", "due_at", name=op.f("uq_schedule_runs_schedule_id_due_at")),
    )
    op.create_index(op.f("ix_schedule_runs_job_id"), "schedule_runs", ["job_id"], unique=False)
    op.create_index(
        op.f("ix_schedule_runs_schedule_id_id"), "schedule_runs", ["schedule_id", "id"], unique=False
    )
    op.create_foreign_key(
        "fk_scripts_current_version_id",
        "scripts",
        "script_versions",
        ["current_version_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_foreign_key(
        "fk_films_master_rendition_id",
        "films",
        "renditions",
        ["master_rendition_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_foreign_key(
        "fk_shots_selected_take_id", "shots", "takes", ["selected_take_id"], ["id"], ondelete="SET NULL"
    )
    op.execute(LEDGER_BALANCES)
    op.execute(LEDGER_CARRIES)
    op.execute(LEDGER_IMMUTABLE)


def downgrade() -> None:
    op.drop_constraint("fk_scripts_current_version_id", "scripts", type_="foreignkey")
    op.drop_constraint("fk_films_master_rendition_id", "films", type_="foreignkey")
    op.drop_constraint("fk_shots_selected_take_id", "shots", type_="foreignkey")
    op.drop_table("schedule_runs")
    op.drop_table("schedules")
    op.drop_index(
        "uq_submissions_vendor_id",
        table_name="submissions",
        postgresql_where=sa.text("vendor_id IS NOT NULL"),
    )
    op.drop_index(
        "uq_submissions_open_step",
        table_name="submissions",
        postgresql_where=sa.text(
            "shot_id IS NULL AND "
            "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered')"
        ),
    )
    op.drop_index(
        "uq_submissions_open",
        table_name="submissions",
        postgresql_where=sa.text(
            "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered')"
        ),
    )
    op.drop_index(
        "ix_submissions_due",
        table_name="submissions",
        postgresql_where=sa.text(
            "state IN ('intended', 'sending', 'unconfirmed', 'submitted', 'running', 'answered')"
        ),
    )
    op.drop_index(op.f("ix_submissions_workspace_id_id"), table_name="submissions")
    op.drop_index(op.f("ix_submissions_job_id"), table_name="submissions")
    op.drop_table("submissions")
    op.drop_index(op.f("ix_derivations_step_id"), table_name="derivations")
    op.drop_index(op.f("ix_derivations_parent_rendition_id"), table_name="derivations")
    op.drop_table("derivations")
    op.drop_table("attempts")
    op.drop_table("takes")
    op.drop_index("uq_steps_job_kind_subject_variant", table_name="steps", postgresql_nulls_not_distinct=True)
    op.drop_index(
        "ix_steps_short",
        table_name="steps",
        postgresql_where=sa.text("state IN ('ready', 'running') AND short_amount IS NOT NULL"),
    )
    op.drop_index(
        "ix_steps_reuse",
        table_name="steps",
        postgresql_where=sa.text("input_hash IS NOT NULL"),
    )
    op.drop_index("ix_steps_ready", table_name="steps", postgresql_where=sa.text("state = 'ready'"))
    op.drop_index("ix_steps_leases", table_name="steps", postgresql_where=sa.text("state = 'running'"))
    op.drop_table("steps")
    op.drop_index(op.f("ix_holds_workspace_id_created_at"), table_name="holds")
    op.drop_index("uq_holds_key", table_name="holds")
    op.drop_index(op.f("ix_holds_project_id"), table_name="holds")
    op.drop_index("ix_holds_open", table_name="holds", postgresql_where=sa.text("state = 'open'"))
    op.drop_index(op.f("ix_holds_job_id"), table_name="holds")
    op.drop_table("holds")
    op.drop_table("source_standings")
    op.drop_index("ix_source_errors_list", table_name="source_errors")
    op.drop_index(op.f("ix_source_errors_job_id"), table_name="source_errors")
    op.drop_index(op.f("ix_source_errors_created_at"), table_name="source_errors")
    op.drop_table("source_errors")
    op.drop_index("ix_events_workspace", table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_candidates_shot_id_position"), table_name="candidates")
    op.drop_index(op.f("ix_candidates_lender_id"), table_name="candidates")
    op.drop_index(op.f("ix_candidates_asset_id"), table_name="candidates")
    op.drop_table("candidates")
    op.drop_index(
        "uq_approvals_pending_gate",
        table_name="approvals",
        postgresql_where=sa.text("state = 'pending' AND gate IS NOT NULL"),
    )
    op.drop_index(
        "ix_approvals_pending", table_name="approvals", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_index(op.f("ix_approvals_job_id"), table_name="approvals")
    op.drop_table("approvals")
    op.drop_index("ix_shots_film_position", table_name="shots")
    op.drop_table("shots")
    op.drop_index(op.f("ix_jobs_project_id"), table_name="jobs")
    op.drop_index("ix_jobs_list_state", table_name="jobs")
    op.drop_index("ix_jobs_list_kind", table_name="jobs")
    op.drop_index("ix_jobs_list", table_name="jobs", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_index(op.f("ix_jobs_film_id"), table_name="jobs")
    op.drop_index(
        "ix_jobs_alive",
        table_name="jobs",
        postgresql_where=sa.text("state IN ('queued', 'running', 'waiting', 'cancelling')"),
    )
    op.drop_index(
        "ix_jobs_deadline",
        table_name="jobs",
        postgresql_where=sa.text("deadline_at IS NOT NULL AND state IN ('queued', 'running', 'waiting')"),
    )
    op.drop_table("jobs")
    op.drop_table("script_versions")
    op.drop_index(op.f("ix_films_project_id"), table_name="films")
    op.drop_table("films")
    op.drop_table("scripts")
    op.drop_table("collection_members")
    op.drop_table("characters")
    op.drop_index(op.f("ix_uploads_workspace_id_created_at"), table_name="uploads")
    op.drop_index(
        "ix_uploads_unfinished", table_name="uploads", postgresql_where=sa.text("blob_sha256 IS NULL")
    )
    op.drop_table("uploads")
    op.drop_index(op.f("ix_renditions_blob_sha256"), table_name="renditions")
    op.drop_index("ix_renditions_asset", table_name="renditions")
    op.drop_table("renditions")
    op.drop_table("projects")
    op.drop_index(op.f("ix_origins_workspace_id_canonical_url"), table_name="origins")
    op.drop_table("origins")
    op.drop_index(op.f("ix_media_assets_sha256"), table_name="media_assets")
    op.drop_index(op.f("ix_media_assets_sha1"), table_name="media_assets")
    op.drop_table("media_assets")
    op.drop_index(op.f("ix_ledger_entries_account_id"), table_name="ledger_entries")
    op.drop_table("ledger_entries")
    op.drop_index(op.f("ix_comments_asset_id_id"), table_name="comments")
    op.drop_table("comments")
    op.drop_table("collections")
    op.drop_index(op.f("ix_asset_tags_tag_id"), table_name="asset_tags")
    op.drop_table("asset_tags")
    op.drop_index(op.f("ix_asset_relationships_child_id"), table_name="asset_relationships")
    op.drop_table("asset_relationships")
    op.drop_index(op.f("ix_asset_hashes_workspace_id_algo_b3"), table_name="asset_hashes")
    op.drop_index(op.f("ix_asset_hashes_workspace_id_algo_b2"), table_name="asset_hashes")
    op.drop_index(op.f("ix_asset_hashes_workspace_id_algo_b1"), table_name="asset_hashes")
    op.drop_index(op.f("ix_asset_hashes_workspace_id_algo_b0"), table_name="asset_hashes")
    op.drop_index(
        op.f("ix_asset_hashes_terms"),
        table_name="asset_hashes",
        postgresql_using="gin",
        postgresql_where=sa.text("terms IS NOT NULL"),
    )
    op.drop_table("asset_hashes")
    op.drop_table("tags")
    op.drop_table("memberships")
    op.drop_index(op.f("ix_ledger_transfers_workspace_id_id"), table_name="ledger_transfers")
    op.drop_index(op.f("ix_ledger_transfers_job_id"), table_name="ledger_transfers")
    op.drop_table("ledger_transfers")
    op.drop_table("ledger_accounts")
    op.drop_index(op.f("ix_idempotency_keys_created_at"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index("uq_budgets_scope", table_name="budgets", postgresql_nulls_not_distinct=True)
    op.drop_table("budgets")
    op.drop_index("ix_assets_list", table_name="assets", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_index("ix_assets_all", table_name="assets", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_table("assets")
    op.drop_index(op.f("ix_api_keys_workspace_id_created_at"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index(op.f("ix_activities_workspace_id_id"), table_name="activities")
    op.drop_table("activities")
    op.drop_table("workspaces")
    op.drop_index("uq_users_email_lower", table_name="users")
    op.drop_table("users")
    op.drop_table("paces")
    op.drop_table("heartbeats")
    op.drop_table("callback_events")
    op.drop_table("blobs")

    op.execute("DROP FUNCTION ledger_balances()")
    op.execute("DROP FUNCTION ledger_carries()")
    op.execute("DROP FUNCTION refuse_change()")

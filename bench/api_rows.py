"""Many jobs for `bench.api`, written by the database itself: a studio some years on."""

from __future__ import annotations

import json
from uuid import UUID

from bench.servers import connected
from core.briefs import load_params

_ROWS = """
INSERT INTO jobs (id, workspace_id, kind, params, state, phase, progress, priority, gates, event_seq,
                  created_at, started_at, finished_at, advanced_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3)
        || '8' || substr(h, 4, 15))::uuid,
       %(workspace)s, kind,
       CASE kind WHEN 'film' THEN %(film)s::jsonb
                 WHEN 'scrape' THEN %(scrape)s::jsonb
                 ELSE jsonb_build_object('asset_id', h::uuid, 'regions', '[]'::jsonb, 'method', 'local')
       END,
       state, 'deliver', 1, 0, '{}', 40, at, at, at + interval '1 minute', at + interval '1 minute'
FROM (SELECT now() - (%(count)s - n) * interval '60 seconds' AS at, md5(n::text) AS h,
             CASE WHEN n <= 0.06 * %(count)s THEN 'text_removal' WHEN n %% 3 = 0 THEN 'scrape' ELSE 'film' END
                 AS kind,
             CASE n %% 16 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'succeeded' END AS state
      FROM generate_series(1, %(count)s) AS n) AS made
"""
"""One job a minute. Every 16th failed; all of the oldest 6 in 100, and none since, are text removals."""


def write_jobs(address: str, workspace: UUID, count: int) -> None:
    """Insert `count` ended jobs, without looking their one workspace up for each."""
    values = {
        "count": count,
        "workspace": str(workspace),
        "film": json.dumps(load_params("film", {"text": "How rainbows form.", "format": "9:16"})),
        "scrape": json.dumps(load_params("scrape", {"words": ["rainbow"]})),
    }
    with connected(address) as cursor:
        cursor.execute("ALTER TABLE jobs DROP CONSTRAINT fk_jobs_workspace_id")
        cursor.execute(_ROWS, values)
        cursor.execute("VACUUM ANALYZE jobs")


def job_at(address: str, workspace: UUID, share: float, count: int) -> UUID:
    """The id of the job that this share of all jobs is newer than."""
    with connected(address) as cursor:
        cursor.execute(
            "SELECT id FROM jobs WHERE workspace_id = %s ORDER BY id DESC OFFSET %s LIMIT 1",
            (str(workspace), int(share * count)),
        )
        return UUID(cursor.fetchone()[0])

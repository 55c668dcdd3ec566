-- Which /24 (IPv4) and /48 (IPv6) got worse since last night: by how many addresses, and
-- through which findings that were not there before?
--
--   auditor convert last-night.ndjson -o last-night.parquet
--   auditor convert tonight.ndjson -o tonight.parquet
--   duckdb < examples/queries/worse_prefixes.sql
--
-- An address that could not be looked up, in either night, is neither worse nor better.
WITH badness(verdict, degree) AS (VALUES ('pass', 0), ('warn', 1), ('fail', 2)),
nights AS (
    SELECT tonight.prefix,
           now.degree - earlier.degree AS change,
           [f.code FOR f IN last_night.findings] AS known,
           [f.code FOR f IN tonight.findings IF NOT list_contains(known, f.code)] AS appeared
    FROM 'tonight.parquet' AS tonight
    JOIN 'last-night.parquet' AS last_night USING (target)
    JOIN badness AS now ON now.verdict = tonight.verdict
    JOIN badness AS earlier ON earlier.verdict = last_night.verdict
    WHERE tonight.kind = 'ip'
)
SELECT prefix,
       count(*) FILTER (change > 0) AS worse,
       count(*) FILTER (change < 0) AS better,
       list_sort(list_distinct(flatten(list(appeared) FILTER (change > 0)))) AS through
FROM nights
GROUP BY prefix
HAVING worse > 0
ORDER BY worse - better DESC, prefix;

-- Where to begin: the three findings that hold back the most addresses of each prefix, with
-- what they mean. `auditor explain CODE` has the remedy.
--
--   auditor convert tonight.ndjson --flat -o tonight-findings.parquet
--   duckdb < examples/queries/mend_first.sql
SELECT prefix, code, title, count(DISTINCT target) AS addresses
FROM 'tonight-findings.parquet'
WHERE kind = 'ip' AND severity IN ('error', 'warning')
GROUP BY prefix, code, title
QUALIFY row_number() OVER (PARTITION BY prefix ORDER BY addresses DESC, code) <= 3
ORDER BY prefix, addresses DESC, code;

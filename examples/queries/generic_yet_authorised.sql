-- Which names look made up for a dialled-up customer, and are authorised by SPF all the same?
-- Receivers refuse them by their names; the policy that lets them send is wider than it need be.
--
--   duckdb < examples/queries/generic_yet_authorised.sql
--
-- Reads the records as `auditor scan -o tonight.ndjson` leaves them (or tonight.ndjson.gz). The
-- columns are named, because what DuckDB guesses from the first lines need not fit the rest.
WITH records AS (
    SELECT *
    FROM read_ndjson('tonight.ndjson', columns = {
        target: 'VARCHAR',
        findings: 'STRUCT(code VARCHAR, severity VARCHAR, subject VARCHAR)[]',
        spf: 'STRUCT("identity" VARCHAR, "domain" VARCHAR, result VARCHAR, mechanism VARCHAR)[]'
    })
),
generic AS (
    SELECT target, spf, unnest(findings, recursive := true) FROM records
),
checked AS (
    SELECT target, subject AS name, unnest(spf) AS policy FROM generic WHERE code = 'PTR_GENERIC'
)
SELECT policy.domain AS "domain",
       policy.mechanism AS mechanism,
       count(DISTINCT target) AS addresses,
       min(name) AS for_example
FROM checked
WHERE policy.result = 'pass'
GROUP BY ALL
ORDER BY addresses DESC, "domain", mechanism;

-- Information: how many raw records each reason rejected, by month of ingestion and source object.
-- A record with several reasons is counted under each of them.
with
rejected_by_reason as (
    select
        rejected.month,
        rejected.source_file,
        rejection.reason,
        count(*) as records
    from rejected
    cross join unnest(rejected.reasons) as rejection (reason)
    group by rejected.month, rejected.source_file, rejection.reason
)

select
    rejected_by_reason.month,
    rejected_by_reason.source_file,
    rejected_by_reason.reason,
    rejected_by_reason.records
from rejected_by_reason
order by rejected_by_reason.month, rejected_by_reason.source_file, rejected_by_reason.reason

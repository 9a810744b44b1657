-- Check: the purchase of a refund arrives within some days of the refund.
-- Reads of refund_detail which refunds are orphans, and of refund the rows that arrived :threshold days ago or earlier.
with
old_orphan_refunds as (
    select
        refund.id,
        refund.parent_id,
        refund.amount,
        refund.month,
        refund.ingested_at,
        refund.source_file
    from refund_detail
    inner join refund on refund_detail.refund_id = refund.id and refund_detail.month = refund.month
    where
        refund_detail.reason = 'orphan'
        and refund.ingested_at < date_add('day', -:threshold, :next_day)
)

select
    old_orphan_refunds.id,
    old_orphan_refunds.parent_id,
    old_orphan_refunds.amount,
    old_orphan_refunds.month,
    old_orphan_refunds.ingested_at,
    old_orphan_refunds.source_file
from old_orphan_refunds
order by old_orphan_refunds.id

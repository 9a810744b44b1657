-- Check: a refund is not larger than its purchase, where either arrived on the day.
-- A voided refund gives nothing back and is left out.
-- Reads the refunds of the months from :first_month to :last_month, and of purchase the months that these name.
with
oversized_refunds as (
    select
        refund.id as refund_id,
        purchase.id as purchase_id,
        refund.amount as refund_amount,
        purchase.amount as purchase_amount,
        refund.source_file
    from refund
    inner join refund_detail on refund.id = refund_detail.refund_id and refund.month = refund_detail.month
    inner join purchase on refund.parent_id = purchase.id and refund_detail.purchase_month = purchase.month
    where
        refund.month between :first_month and :last_month
        and refund_detail.month between :first_month and :last_month
        and (
            (refund.ingested_at >= :day and refund.ingested_at < :next_day)
            or (purchase.ingested_at >= :day and purchase.ingested_at < :next_day)
        )
        and refund.amount > purchase.amount
        and coalesce(refund_detail.reason, '') not in ('voided_purchase', 'voided_refund')
)

select
    oversized_refunds.refund_id,
    oversized_refunds.purchase_id,
    oversized_refunds.refund_amount,
    oversized_refunds.purchase_amount,
    oversized_refunds.source_file
from oversized_refunds
order by oversized_refunds.refund_id

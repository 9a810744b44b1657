-- Check: a refund is not dated before its purchase, where either arrived on the day.
-- Reads the refunds of the months from :first_month to :last_month, and of purchase the months that these name.
with
refunds_before_purchases as (
    select
        refund.id as refund_id,
        purchase.id as purchase_id,
        refund.timestamp as refund_time,
        purchase.timestamp as purchase_time,
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
        and refund.timestamp < purchase.timestamp
)

select
    refunds_before_purchases.refund_id,
    refunds_before_purchases.purchase_id,
    refunds_before_purchases.refund_time,
    refunds_before_purchases.purchase_time,
    refunds_before_purchases.source_file
from refunds_before_purchases
order by refunds_before_purchases.refund_id

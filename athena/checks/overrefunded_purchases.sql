-- Check: the refunds of a purchase are together not larger than it, where one of them or it arrived on the day.
-- One refund that alone is larger than its purchase is told by oversized_refunds. Voided refunds are left out.
-- The purchases come from the months from :first_month to :last_month of refund; their refunds may lie in any month.
with
concerned_purchase as (
    select
        purchase.id,
        purchase.amount
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
        and coalesce(refund_detail.reason, '') != 'voided_purchase'
    group by purchase.id, purchase.amount
),

kept_refund as (
    select
        refund.parent_id,
        refund.amount
    from refund
    left join void on refund.id = void.parent_id
    where void.parent_id is null
),

overrefunded_purchases as (
    select
        concerned_purchase.id as purchase_id,
        concerned_purchase.amount as purchase_amount,
        sum(kept_refund.amount) as refunded_amount,
        count(*) as refunds
    from concerned_purchase
    inner join kept_refund on concerned_purchase.id = kept_refund.parent_id
    group by concerned_purchase.id, concerned_purchase.amount
    having
        count(*) > 1
        and sum(kept_refund.amount) > concerned_purchase.amount
)

select
    overrefunded_purchases.purchase_id,
    overrefunded_purchases.purchase_amount,
    overrefunded_purchases.refunded_amount,
    overrefunded_purchases.refunds
from overrefunded_purchases
order by overrefunded_purchases.purchase_id

-- Check: refund_detail holds each refund once, in its month, and says of each what the base tables say, to the cent.
with
voided as (
    select distinct void.parent_id as id
    from void
),

expected as (
    select
        refund.id as refund_id,
        refund.month,
        refund.amount,
        purchase.customer_id,
        purchase.merchant_id,
        purchase.month as purchase_month,
        purchase.month != refund.month
        and voided_purchase.id is null
        and voided_refund.id is null
        and purchase.id is not null as counted
    from refund
    left join purchase on refund.parent_id = purchase.id
    left join voided as voided_purchase on purchase.id = voided_purchase.id
    left join voided as voided_refund on refund.id = voided_refund.id
),

refund_detail_disagreements as (
    select
        coalesce(expected.refund_id, refund_detail.refund_id) as refund_id,
        expected.month as expected_month,
        refund_detail.month as detail_month,
        expected.customer_id as expected_customer_id,
        refund_detail.customer_id as detail_customer_id,
        expected.amount as expected_amount,
        refund_detail.amount as detail_amount,
        expected.counted as expected_counted,
        refund_detail.counted as detail_counted,
        refund_detail.reason as detail_reason
    from expected
    full outer join refund_detail on expected.refund_id = refund_detail.refund_id
    where
        expected.month is distinct from refund_detail.month
        or expected.amount is distinct from refund_detail.amount
        or expected.customer_id is distinct from refund_detail.customer_id
        or expected.merchant_id is distinct from refund_detail.merchant_id
        or expected.purchase_month is distinct from refund_detail.purchase_month
        or expected.counted is distinct from refund_detail.counted
        or refund_detail.counted is distinct from (refund_detail.reason is null)
)

select
    refund_detail_disagreements.refund_id,
    refund_detail_disagreements.expected_month,
    refund_detail_disagreements.detail_month,
    refund_detail_disagreements.expected_customer_id,
    refund_detail_disagreements.detail_customer_id,
    refund_detail_disagreements.expected_amount,
    refund_detail_disagreements.detail_amount,
    refund_detail_disagreements.expected_counted,
    refund_detail_disagreements.detail_counted,
    refund_detail_disagreements.detail_reason
from refund_detail_disagreements
order by refund_detail_disagreements.refund_id

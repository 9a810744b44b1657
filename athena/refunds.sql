-- Total refund per customer over all time, from the base tables.
-- Left out: a refund that is voided, a refund whose purchase is voided, and a refund in the month of its purchase.
-- A refund whose purchase has not arrived yet has no customer: it counts from the day the purchase is there.
with
-- Whatever a void names is gone, however many voids name it: rows that met a void are dropped, never multiplied.
kept_purchase as (
    select
        purchase.id,
        purchase.customer_id,
        purchase.month
    from purchase
    left join void on purchase.id = void.parent_id
    where void.parent_id is null
),

kept_refund as (
    select
        refund.parent_id,
        refund.amount,
        refund.month
    from refund
    left join void on refund.id = void.parent_id
    where void.parent_id is null
),

-- month is the partition column, the year and month in the reporting time zone: right in any zone, and free to read.
counted_refund as (
    select
        kept_purchase.customer_id,
        kept_refund.amount
    from kept_refund
    inner join kept_purchase on kept_refund.parent_id = kept_purchase.id
    where kept_refund.month != kept_purchase.month
),

refunds as (
    select
        counted_refund.customer_id,
        sum(counted_refund.amount) as total_refund
    from counted_refund
    group by counted_refund.customer_id
)

select
    refunds.customer_id,
    refunds.total_refund
from refunds
order by refunds.customer_id

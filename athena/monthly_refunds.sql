-- Total refund per customer for the refunds of one month, the parameter: '2026-10' (quoted, as Athena wants strings).
-- Reads one partition of refund_detail and three of its columns; what counts is decided by the rules of refunds.sql.
with
counted_refund as (
    select
        refund_detail.customer_id,
        refund_detail.amount
    from refund_detail
    where
        refund_detail.month = ?
        and refund_detail.counted
),

monthly_refunds as (
    select
        counted_refund.customer_id,
        sum(counted_refund.amount) as total_refund
    from counted_refund
    group by counted_refund.customer_id
)

select
    monthly_refunds.customer_id,
    monthly_refunds.total_refund
from monthly_refunds
order by monthly_refunds.customer_id

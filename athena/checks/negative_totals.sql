-- Check: every customer in the report of a month gets more than nothing back.
-- Reads the months from :first_month to :last_month.
with
negative_totals as (
    select
        refund_detail.month,
        refund_detail.customer_id,
        sum(refund_detail.amount) as total_refund
    from refund_detail
    where
        refund_detail.month between :first_month and :last_month
        and refund_detail.counted
    group by refund_detail.month, refund_detail.customer_id
    having sum(refund_detail.amount) <= 0
)

select
    negative_totals.month,
    negative_totals.customer_id,
    negative_totals.total_refund
from negative_totals
order by negative_totals.month, negative_totals.customer_id

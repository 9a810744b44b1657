-- Check: a row lies in the month of its timestamp. For the reporting time zone UTC only: timestamps are stored in UTC.
with
dated as (
    select
        'purchase' as source_table,
        purchase.id,
        purchase.timestamp as transaction_time,
        purchase.month
    from purchase
    union all
    select
        'refund' as source_table,
        refund.id,
        refund.timestamp as transaction_time,
        refund.month
    from refund
    union all
    select
        'void' as source_table,
        void.id,
        void.timestamp as transaction_time,
        void.month
    from void
),

month_mismatches as (
    select
        dated.source_table,
        dated.id,
        dated.transaction_time,
        dated.month
    from dated
    where dated.month is distinct from date_format(dated.transaction_time, '%Y-%m')
)

select
    month_mismatches.source_table,
    month_mismatches.id,
    month_mismatches.transaction_time,
    month_mismatches.month
from month_mismatches
order by month_mismatches.source_table, month_mismatches.id

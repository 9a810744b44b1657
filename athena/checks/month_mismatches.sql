-- Check: a row lies in the month of its timestamp.
-- For the reporting time zone UTC only: timestamps are stored in UTC.
-- Reads the months from :first_month to :last_month, and rows without a month.
with
dated as (
    select
        'purchase' as source_table,
        purchase.id,
        purchase.timestamp as transaction_time,
        purchase.month
    from purchase
    where purchase.month between :first_month and :last_month or purchase.month is null
    union all
    select
        'refund' as source_table,
        refund.id,
        refund.timestamp as transaction_time,
        refund.month
    from refund
    where refund.month between :first_month and :last_month or refund.month is null
    union all
    select
        'void' as source_table,
        void.id,
        void.timestamp as transaction_time,
        void.month
    from void
    where void.month between :first_month and :last_month or void.month is null
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

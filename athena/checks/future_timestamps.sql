-- Check: a record that arrived on the day is not dated after its arrival.
-- Reads the months from :first_month to :last_month; clocks may differ by :threshold hours.
with
arrived as (
    select
        'purchase' as source_table,
        purchase.id,
        purchase.timestamp as transaction_time,
        purchase.ingested_at,
        purchase.source_file
    from purchase
    where
        purchase.month between :first_month and :last_month
        and purchase.ingested_at >= :day
        and purchase.ingested_at < :next_day
    union all
    select
        'refund' as source_table,
        refund.id,
        refund.timestamp as transaction_time,
        refund.ingested_at,
        refund.source_file
    from refund
    where
        refund.month between :first_month and :last_month
        and refund.ingested_at >= :day
        and refund.ingested_at < :next_day
    union all
    select
        'void' as source_table,
        void.id,
        void.timestamp as transaction_time,
        void.ingested_at,
        void.source_file
    from void
    where
        void.month between :first_month and :last_month
        and void.ingested_at >= :day
        and void.ingested_at < :next_day
),

future_timestamps as (
    select
        arrived.source_table,
        arrived.id,
        arrived.transaction_time,
        arrived.ingested_at,
        arrived.source_file
    from arrived
    where arrived.transaction_time > date_add('hour', :threshold, arrived.ingested_at)
)

select
    future_timestamps.source_table,
    future_timestamps.id,
    future_timestamps.transaction_time,
    future_timestamps.ingested_at,
    future_timestamps.source_file
from future_timestamps
order by future_timestamps.source_table, future_timestamps.id

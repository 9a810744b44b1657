-- Check: what the record contract requires is there: no key or time is null or empty, and each amount is above zero.
with
transactions as (
    select
        'purchase' as source_table,
        purchase.id,
        purchase.timestamp as transaction_time,
        purchase.amount,
        purchase.customer_id as first_reference,
        purchase.merchant_id as second_reference
    from purchase
    union all
    select
        'refund' as source_table,
        refund.id,
        refund.timestamp as transaction_time,
        refund.amount,
        refund.parent_id as first_reference,
        refund.parent_id as second_reference
    from refund
    union all
    select
        'void' as source_table,
        void.id,
        void.timestamp as transaction_time,
        void.amount,
        void.parent_id as first_reference,
        void.parent_id as second_reference
    from void
),

invalid_rows as (
    select
        transactions.source_table,
        transactions.id,
        transactions.transaction_time,
        transactions.amount,
        transactions.first_reference,
        transactions.second_reference
    from transactions
    where
        coalesce(trim(transactions.id), '') = ''
        or transactions.transaction_time is null
        or coalesce(transactions.amount, 0) <= 0
        or coalesce(trim(transactions.first_reference), '') = ''
        or coalesce(trim(transactions.second_reference), '') = ''
)

select
    invalid_rows.source_table,
    invalid_rows.id,
    invalid_rows.transaction_time,
    invalid_rows.amount,
    invalid_rows.first_reference,
    invalid_rows.second_reference
from invalid_rows
order by invalid_rows.source_table, invalid_rows.id

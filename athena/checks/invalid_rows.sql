-- Check: what the record contract requires is there: no key or time is null or empty, and each amount is above zero.
-- Reads the months from :first_month to :last_month. Blanks are those of the record contract: space, tab, CR and LF.
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
    where purchase.month between :first_month and :last_month
    union all
    select
        'refund' as source_table,
        refund.id,
        refund.timestamp as transaction_time,
        refund.amount,
        refund.parent_id as first_reference,
        refund.parent_id as second_reference
    from refund
    where refund.month between :first_month and :last_month
    union all
    select
        'void' as source_table,
        void.id,
        void.timestamp as transaction_time,
        void.amount,
        void.parent_id as first_reference,
        void.parent_id as second_reference
    from void
    where void.month between :first_month and :last_month
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
        transactions.id is null
        or regexp_like(transactions.id, '^[ \t\r\n]*$')
        or transactions.transaction_time is null
        or coalesce(transactions.amount, 0) <= 0
        or transactions.first_reference is null
        or regexp_like(transactions.first_reference, '^[ \t\r\n]*$')
        or transactions.second_reference is null
        or regexp_like(transactions.second_reference, '^[ \t\r\n]*$')
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

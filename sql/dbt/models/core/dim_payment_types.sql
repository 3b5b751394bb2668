with

payment_types as (

    select

        ---------- ids
        payment_type_id,

        ---------- text
        payment_type_name,

        ---------- booleans
        is_unknown

    from {{ ref('stg_payment_types') }}

)

select * from payment_types

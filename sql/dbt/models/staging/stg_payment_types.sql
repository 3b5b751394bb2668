with

source as (

    select * from {{ ref('payment_types') }}

),

renamed as (

    select

        ---------- ids
        payment_type_id,

        ---------- text
        payment_type_name,

        ---------- booleans
        payment_type_id = {{ var('unknown_payment_type_id') }} as is_unknown

    from source

)

select * from renamed

with

source as (

    select * from {{ ref('rate_codes') }}

),

renamed as (

    select

        ---------- ids
        rate_code_id,

        ---------- text
        rate_code_name,

        ---------- booleans
        rate_code_id = {{ var('unknown_rate_code_id') }} as is_unknown

    from source

)

select * from renamed

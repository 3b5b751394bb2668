{#-
    Incremental strategy `replace_month`: delete all rows of the built months and insert the new ones, in the transaction
    that the materialization has opened.

    dbt's own `delete+insert` deletes only the months that have new rows; a month that has lost its last trip would keep
    its old rows for ever.
-#}
{% macro get_incremental_replace_month_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ arg_dict['target_relation'] }}
    where {{ in_built_month() }};

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }}
{%- endmacro %}

{#
    SQL for a text inside the quotes of a JSON document. Written with chr(), since warehouses disagree on how SQL writes a
    backslash, which comes first here. A NUL is left as it is: not every warehouse could find it.
#}
{% macro in_json_quotes(expression) -%}
    {%- set escapes = [(92, 'chr(92)'), (34, "'\"'"), (9, "'t'"), (10, "'n'"), (13, "'r'")] -%}
    {%- for code in range(1, 32) if code not in (9, 10, 13) -%}
        {%- do escapes.append((code, "'u" ~ '%04x' % code ~ "'")) -%}
    {%- endfor -%}
    {%- set escaped = namespace(text=expression) -%}
    {%- for code, written in escapes -%}
        {%- set escaped.text = 'replace(' ~ escaped.text ~ ', chr(' ~ code ~ '), chr(92) || ' ~ written ~ ')' -%}
    {%- endfor -%}
{{ escaped.text }}
{%- endmacro %}

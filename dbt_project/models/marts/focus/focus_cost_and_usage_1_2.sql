-- Columns have the names that FOCUS writes, unquoted, as their readers expect them.
-- noqa: disable=CP02
with charges as (
    select * from {{ ref('focus_cost_and_usage') }}
),

final as (
    select
        BillingPeriodStart,
        BillingPeriodEnd,
        ChargePeriodStart,
        ChargePeriodEnd,
        ChargeCategory,
        ChargeClass,
        ChargeFrequency,
        ChargeDescription,
        BillingCurrency,
        BilledCost,
        EffectiveCost,
        ContractedCost,
        ListCost,
        PricingQuantity,
        PricingUnit,
        ConsumedQuantity,
        ConsumedUnit,
        ServiceProviderName as PublisherName,
        InvoiceIssuerName as ProviderName,
        InvoiceIssuerName,
        ServiceCategory,
        ServiceSubcategory,
        ServiceName,
        BillingAccountId,
        BillingAccountName,
        SubAccountId,
        SubAccountName,
        Tags,
        cast(null as {{ dbt.type_string() }}) as CommitmentDiscountStatus,
        cast(null as {{ dbt.type_string() }}) as InvoiceId,
        x_LineId,
        x_LineType,
        x_AllocationMethod,
        x_CostSource,
        x_Provider,
        x_Model,
        x_CostCenterId,
        x_TeamId,
        x_BillingPeriod,
        x_OriginalPeriod,
        x_RestatementReason,
        x_IsClosed,
        x_UncachedInputTokens,
        x_CacheReadTokens,
        x_CacheWriteTokens,
        x_OutputTokens,
        x_Requests,
        x_UnpricedTokens,
        x_UnpricedRequests
    from charges
)

select * from final

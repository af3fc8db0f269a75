"""The business context of a type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.business_context import aggregate_of, business_context_of


@pytest.mark.parametrize(
    ("event_type", "aggregate", "context"),
    [
        (r"Holded\Wallet\Domain\Transaction\Events\WalletTransactionCreatedEvent", "Transaction", "financial"),
        (r"Holded\Wallet\Domain\Account\Events\AccountCreatedEvent", "Account", "account_management"),
        (r"Holded\Wallet\Domain\AccountHolder\Events\AccountHolderUpdatedEvent", "AccountHolder", "account_management"),
        (r"Holded\Wallet\Domain\User\Events\UserUpdatedEvent", "User", "user_management"),
        (r"Holded\Wallet\Domain\Subscription\Events\WalletSubscriptionFailedEvent", "Subscription", "subscription"),
        (r"\Holded\Wallet\Domain\User\Events\UserUpdatedEvent", "User", "user_management"),
        # the aggregate decides, not a word elsewhere
        (r"Holded\Accounting\Domain\Invoice\Events\InvoiceIssuedEvent", "Invoice", "other"),
        (r"Holded\Account\Domain\Invoice\Events\TransactionInvoicedEvent", "Invoice", "other"),
        (r"Holded\Wallet\Domain\Users\Events\UserUpdatedEvent", "Users", "other"),
        # without an aggregate of its own
        (r"Holded\Wallet\Transaction\CreatedEvent", "Transaction", "financial"),
        (r"Holded\User\Domain\LoginFailed", "User", "user_management"),
        (r"Holded\Billing\WalletTransactionCreatedEvent", None, "other"),
        # names without a namespace
        ("WalletTransactionCreatedEvent", "Transaction", "financial"),
        ("UserSubscriptionCancelled", "Subscription", "subscription"),
        ("HTTPUserUpdated", "User", "user_management"),
        ("transaction.created", "Transaction", "financial"),
        ("transactions.user_notified", "Transaction", "financial"),
        ("account_holder.updated", "AccountHolder", "account_management"),
        ("AccountHolderUpdated", "AccountHolder", "account_management"),
        ("ACCOUNT_CREATED", "Account", "account_management"),
        ("com.example.wallet.subscription-renewed", "Subscription", "subscription"),
        ("place_holder.updated", None, "other"),
        ("accounting.closed", None, "other"),
        ("invoice.created", None, "other"),
        ("", None, "other"),
        ("\\", None, "other"),
    ],
)
def test_a_type_has_its_context(event_type, aggregate, context):
    assert (aggregate_of(event_type), business_context_of(event_type)) == (aggregate, context)


@given(st.text(alphabet="AU\\./_ Domainser") | st.text())
def test_any_type_has_a_context(event_type):
    assert business_context_of(event_type) in {
        "financial",
        "account_management",
        "user_management",
        "subscription",
        "other",
    }

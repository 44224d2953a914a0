"""The form for a code of the second factor."""

from django import forms
from django.core.exceptions import ValidationError
from unfold import widgets

from seedance_service.panel import recovery_codes

SIX_DIGITS = 6
IGNORED = str.maketrans("", "", "- \t\n")  # people copy a code with its divisions


class CodeForm(forms.Form):
    """The form for a code of six digits or a recovery code."""

    code = forms.CharField(
        label="Code",
        max_length=40,
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def clean_code(self) -> str:
        """Return the code without its divisions, in lower case."""
        code: str = self.cleaned_data["code"].translate(IGNORED).lower()
        is_of_authenticator = len(code) == SIX_DIGITS and code.isascii() and code.isdigit()
        if not (is_of_authenticator or recovery_codes.PATTERN.fullmatch(code)):
            raise ValidationError("A code has six digits, a recovery code sixteen letters and digits.")
        return code

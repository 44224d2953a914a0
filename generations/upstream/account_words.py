"""Texts of an upstream that speak of our account there: callers never read them."""

import re

# Wherever these words stand, the text is about our account, and so about nothing that a caller may read.
ABOUT_ACCOUNT = re.compile(
    r"balance|\bbill|\bkeys?\b|api[ _-]?key|account|quota|credit|payment|\b(un)?paid\b|\bpay\b|invoice|arrears|overdue|"
    r"charge|top[ -]?up|funds|wallet|deposit|\bcosts?\b|pric(e|ing)\b|\busd\b|\$ ?[0-9]|subscription|\bplans?\b|"
    r"upgrade|\btier\b|(rate|request)[ _-]?limit|limit exceeded|too many requests|concurren|unauthori[sz]ed|"
    r"authenticat|permission|forbidden|access denied|suspend|organi[sz]ation|workspace|secret|\[hidden\]|[\w.]@[\w.]",
    re.IGNORECASE,
)

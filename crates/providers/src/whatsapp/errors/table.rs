//! Meta's published error codes, <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>.

use std::time::Duration;

use kabar_domain::outbound::Verdict;

use super::Description;

/// Codes from the first to the second, both included.
type Row = (i64, i64, Description);

const fn row(code: i64, verdict: Verdict, title: &'static str, action: &'static str) -> Row {
    rows(code, code, verdict, title, action)
}

const fn rows(from: i64, to: i64, verdict: Verdict, title: &'static str, action: &'static str) -> Row {
    (from, to, Description { title, action, verdict })
}

const FAIL: Verdict = Verdict::Fail;
const PAUSE: Verdict = Verdict::PauseAccount;
const RETRY: Verdict = Verdict::Retry { after: None };
const HOLD: Verdict = Verdict::Hold { after: None };
const SLOW: Verdict = Verdict::SlowRecipient { after: None };

const fn after(seconds: u64) -> Verdict {
    Verdict::Retry { after: Some(Duration::from_secs(seconds)) }
}

pub(super) fn find(code: i64) -> Option<Description> {
    let at = TABLE.partition_point(|(_, to, _)| *to < code);
    TABLE.get(at).filter(|(from, _, _)| *from <= code).map(|(_, _, description)| *description)
}

const TOKEN: &str = "Give the account a new access token; its messages wait until then.";
const RIGHTS: &str = "Give the access token the permissions for WhatsApp messaging and management, and check the app's access to the business account.";
const SLOWER: &str = "Nothing to do: Kabar slows down and tries again.";
const LATER: &str = "Nothing to do: WhatsApp is busy or down for a moment, and Kabar tries again.";
const PAYMENT: &str = "Mend the payment method of the WhatsApp business account in Meta's billing settings.";
const REPORT: &str = "Report this to whoever runs Kabar: the request was not one WhatsApp understands.";
const REGISTER: &str = "Register the number with the Cloud API again.";
const VALUES: &str =
    "Check the template's parameters: their number and form must be those of the approved template.";
const CALL: &str = "Calls are made outside Kabar; see the code in Meta's list of calling errors.";
const FLOW: &str = "See the flow in WhatsApp Manager.";
const GROUP_STATE: &str = "Nothing to do: the person is no longer there; look at the group's members again.";
const PICTURE: &str = "Choose a square picture of at least 192 by 192 pixels.";
const WAIT_PIN: &str = "Wait for the time the details name, then enter the PIN again.";
const REONBOARD: &str = "Disconnect the number in the WhatsApp Business app and connect it again.";

/// In order of codes; no two overlap. What only forbids one kind of message (131215, 134102) does not stop the
/// account.
static TABLE: &[Row] = &[
    row(0, PAUSE, "Authentication failed", TOKEN),
    row(1, RETRY, "Invalid request or server fault", LATER),
    row(2, HOLD, "Service temporarily down", LATER),
    row(3, PAUSE, "The app lacks a capability", RIGHTS),
    row(4, HOLD, "Too many calls by the app", SLOWER),
    row(10, PAUSE, "Permission denied", RIGHTS),
    row(
        33,
        PAUSE,
        "The number does not exist",
        "Check the phone number id: the number was deleted or is another's.",
    ),
    row(100, FAIL, "Invalid parameter", REPORT),
    row(104, PAUSE, "The access token is missing or wrong", TOKEN),
    row(190, PAUSE, "The access token has expired", TOKEN),
    rows(200, 299, PAUSE, "Permission denied", RIGHTS),
    row(
        368,
        PAUSE,
        "Blocked for breaking a policy",
        "See WhatsApp Manager for what Meta objects to and appeal; nothing can be sent until it is settled.",
    ),
    row(80_007, HOLD, "Too many calls for the business account", SLOWER),
    row(130_403, FAIL, "You blocked this person", "Unblock the person to write to them."),
    row(130_429, HOLD, "Too many messages at once", SLOWER),
    row(
        130_472,
        FAIL,
        "The person is in a Meta experiment",
        "Do not send this again; reach the person another way or wait for them to write.",
    ),
    row(
        130_497,
        FAIL,
        "The country is closed to this account",
        "The account may not message people in this country; see Meta's policy for your trade.",
    ),
    row(130_501, FAIL, "Unsupported message in a group", "Ask the person to send it in another form."),
    row(131_000, RETRY, "Something went wrong", LATER),
    row(131_005, PAUSE, "Access denied", RIGHTS),
    row(131_008, FAIL, "A parameter is missing", REPORT),
    row(
        131_009,
        FAIL,
        "A parameter's value is not valid",
        "Check the recipient and the content; the details name the part.",
    ),
    row(131_016, HOLD, "Service unavailable", LATER),
    row(131_020, FAIL, "The group has nobody else in it", "Invite somebody to the group first."),
    row(131_021, FAIL, "The recipient is the sender", "Choose a recipient other than the number itself."),
    row(
        131_026,
        FAIL,
        "Message undeliverable",
        "The person may not use WhatsApp, or an old version of it; check the number or reach them another way.",
    ),
    row(
        131_030,
        FAIL,
        "The recipient is not on the test list",
        "Add the number to the test number's recipients in the app's dashboard.",
    ),
    row(
        131_031,
        PAUSE,
        "The account is locked",
        "See WhatsApp Manager for the account's health and what to mend.",
    ),
    row(
        131_037,
        PAUSE,
        "The display name is not approved",
        "Have the number's display name approved in WhatsApp Manager.",
    ),
    row(
        131_041,
        FAIL,
        "The group is gone",
        "The group was deleted or the number is not in it; write to its people directly.",
    ),
    row(131_042, PAUSE, "Payment problem", PAYMENT),
    row(131_044, PAUSE, "Payment problem", PAYMENT),
    row(131_045, PAUSE, "The number is not registered correctly", REGISTER),
    row(
        131_047,
        FAIL,
        "More than 24 hours since the person last wrote",
        "Send an approved template; free text is possible again once the person answers.",
    ),
    row(
        131_048,
        FAIL,
        "Held back for too many spam reports",
        "Stop campaigns from this number for some hours and see its quality in WhatsApp Manager.",
    ),
    row(
        131_049,
        FAIL,
        "Marketing held back for this person",
        "Wait at least 24 hours before another marketing message to this person.",
    ),
    row(
        131_050,
        FAIL,
        "The person wants no marketing from you",
        "Send this person no marketing until they allow it again.",
    ),
    row(131_051, FAIL, "Unsupported message type", "Send or ask for the content in another form."),
    row(131_052, FAIL, "The file could not be downloaded", "Ask the person to send the file again."),
    row(
        131_053,
        after(30),
        "The file could not be uploaded",
        "Check the file's type and size, and that its link can be reached; Kabar tries again.",
    ),
    row(131_055, FAIL, "Only marketing can be sent this way", REPORT),
    row(131_056, SLOW, "Too many messages to one person", SLOWER),
    row(
        131_057,
        HOLD,
        "The account is in maintenance",
        "Nothing to do: it takes some minutes, and Kabar tries again.",
    ),
    row(131_059, FAIL, "The list's position has expired", "Read the list from its beginning again."),
    row(
        131_060,
        FAIL,
        "The message is not available",
        "Look for the message in the WhatsApp Business app on the phone.",
    ),
    row(
        131_062,
        FAIL,
        "This message needs a phone number",
        "Ask the person for their phone number and send it there.",
    ),
    row(
        131_063,
        FAIL,
        "Marketing templates are switched off here",
        "Allow marketing templates on the Cloud API in WhatsApp Manager, or send them with the marketing API.",
    ),
    row(
        131_064,
        FAIL,
        "Limited for wrongly classified templates",
        "Put the templates in their right categories; Meta lifts the limit by itself later.",
    ),
    row(
        131_201,
        FAIL,
        "The group was changed only in part",
        "Look at the group's members and repeat what is missing.",
    ),
    row(131_202, FAIL, "A person is named twice", "Name each person once."),
    row(
        131_203,
        FAIL,
        "The person has not accepted new terms",
        "Ask the person to open WhatsApp and accept its terms.",
    ),
    row(131_204, FAIL, "Too many people", "A group has at most eight people; name fewer."),
    row(131_207, FAIL, "The group is suspended", "Meta suspended the group; see WhatsApp Manager."),
    row(131_208, RETRY, "Too many group operations", SLOWER),
    rows(131_209, 131_210, FAIL, "The group's picture does not fit", PICTURE),
    row(131_211, FAIL, "Too many groups", "Delete groups that are no longer used; a number can have 10,000."),
    rows(131_212, 131_213, FAIL, "Not in the group, or no such request", GROUP_STATE),
    row(
        131_214,
        FAIL,
        "No new groups for now",
        "Wait seven days: Meta stopped new groups because too much marketing was sent in them.",
    ),
    row(
        131_215,
        FAIL,
        "The number may not use groups",
        "Groups need an official business account; see WhatsApp Manager.",
    ),
    row(132_000, FAIL, "Wrong number of template parameters", VALUES),
    row(
        132_001,
        FAIL,
        "No such template in this language",
        "Choose a template and language that are approved; fetch the templates again if one is missing.",
    ),
    row(132_005, FAIL, "The template's text is too long", "Shorten the template's parameters."),
    row(
        132_007,
        FAIL,
        "The template breaks a content policy",
        "Change the template's content and have it approved again.",
    ),
    row(132_008, FAIL, "A template parameter's value is wrong", VALUES),
    row(132_012, FAIL, "A template parameter has the wrong form", VALUES),
    row(
        132_015,
        after(3 * 3_600),
        "The template is paused",
        "Meta paused the template for low quality, for three or six hours; better its content or use another.",
    ),
    row(132_016, FAIL, "The template is disabled for good", "Make a new template with other content."),
    row(132_018, FAIL, "Template parameters are not valid", VALUES),
    row(132_068, FAIL, "The flow is blocked", FLOW),
    row(
        132_069,
        after(3_600),
        "The flow is throttled",
        "Mend the flow's errors; it may be sent ten times an hour until then.",
    ),
    row(
        133_000,
        FAIL,
        "An earlier deregistration is incomplete",
        "Deregister the number again, then register it.",
    ),
    row(133_004, HOLD, "Server temporarily unavailable", LATER),
    row(
        133_005,
        PAUSE,
        "The two-step PIN is wrong",
        "Enter the number's right PIN, or reset it in WhatsApp Manager.",
    ),
    row(
        133_006,
        PAUSE,
        "The number is not verified",
        "Verify the number with a code by text message or call first.",
    ),
    row(133_008, FAIL, "Too many wrong PINs", WAIT_PIN),
    row(133_009, FAIL, "The PIN was entered too quickly", WAIT_PIN),
    row(133_010, PAUSE, "The number is not registered", REGISTER),
    row(
        133_015,
        after(300),
        "The number was deleted a moment ago",
        "Wait five minutes before registering the number again.",
    ),
    row(133_016, FAIL, "Registered too often", "Wait up to 72 hours before registering the number again."),
    row(
        134_011,
        PAUSE,
        "The payment terms are not accepted",
        "Accept WhatsApp's payment terms in WhatsApp Manager.",
    ),
    row(134_100, FAIL, "Only marketing can be sent this way", REPORT),
    row(
        134_101,
        after(600),
        "The template is still being prepared",
        "Nothing to do: it takes some ten minutes, and Kabar tries again.",
    ),
    row(
        134_102,
        FAIL,
        "The template cannot be used here",
        "Check in WhatsApp Manager that the account may use the marketing API.",
    ),
    row(135_000, FAIL, "The request's parameters are wrong", REPORT),
    row(
        136_024,
        FAIL,
        "The verification code could not be asked for",
        "Wait some hours, then ask for the code again.",
    ),
    row(
        137_000,
        FAIL,
        "The person's identity has changed",
        "Make sure that the person is who you think, and acknowledge their new identity.",
    ),
    rows(138_000, 138_018, FAIL, "Calling error", CALL),
    rows(139_000, 139_004, FAIL, "The flow could not be changed", FLOW),
    rows(
        139_100,
        139_103,
        FAIL,
        "Blocking did not work for everybody",
        "Look at the list of blocked people and repeat what is missing.",
    ),
    rows(
        147_001,
        147_005,
        FAIL,
        "The username could not be changed",
        "Choose another username in WhatsApp Manager.",
    ),
    rows(
        200_005,
        200_007,
        FAIL,
        "Template insights are not available",
        "Switch template insights on in WhatsApp Manager.",
    ),
    row(
        1_752_041,
        FAIL,
        "Already asked to use the marketing API",
        "Nothing to do: the first request stands.",
    ),
    rows(
        2_388_001,
        2_388_299,
        FAIL,
        "The template or the number's move was refused",
        "Do what the details say, then try again in WhatsApp Manager.",
    ),
    row(
        2_494_100,
        HOLD,
        "The number is in maintenance",
        "Nothing to do: it takes some minutes, and Kabar tries again.",
    ),
    rows(2_494_164, 2_494_179, FAIL, "Signing up failed", "Begin connecting the number again."),
    row(2_593_107, FAIL, "The phone's data was already handed over", REONBOARD),
    row(2_593_108, FAIL, "Too late to hand over the phone's data", REONBOARD),
    row(
        2_593_109,
        FAIL,
        "The business shares no history",
        "Connect the number again and agree to share its history, if it is wanted.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_says_something() {
        assert!(TABLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
        for (from, to, description) in TABLE {
            assert!(from <= to);
            assert!(description.action.ends_with('.'), "{}", description.action);
            assert_eq!(find(*from).map(|found| found.title), Some(description.title));
            assert_eq!(find(*to).map(|found| found.title), Some(description.title));
        }
        for unknown in [-1, 5, 300, 131_065, 2_388_300, i64::MAX, i64::MIN] {
            assert!(find(unknown).is_none());
        }
    }
}

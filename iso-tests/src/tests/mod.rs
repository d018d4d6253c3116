//! The matrix: what an operator does with the appliance.

mod disk;
mod first_boot;
mod network;

use crate::Test;

/// In the order in which they run: what everything rests on comes first.
pub(crate) static ALL: &[Test] = &[
    Test {
        name: "bios_boot_wizard_and_forwarding",
        about: "boots the image by BIOS, sets it up in the browser, and finds logs, sessions and a verdict at the collector",
        quick: true,
        run: first_boot::bios_boot_wizard_and_forwarding,
    },
    Test {
        name: "secure_boot_reaches_the_wizard",
        about: "boots the image by UEFI with Secure Boot in force",
        quick: false,
        run: first_boot::secure_boot_reaches_the_wizard,
    },
    Test {
        name: "unattended_install_reboots_with_its_data_and_loses_nothing_when_the_plug_is_pulled",
        about: "installs by a settings stick to the disk of a serial number, starts from it, waits with records for a collector, \
                loses power under load, and delivers all of them",
        quick: false,
        run: disk::unattended_install,
    },
    Test {
        name: "unattended_install_refuses_without_exactly_one_disk",
        about: "asks for a disk that is not there, and leaves the one that is untouched",
        quick: false,
        run: disk::refuses_without_exactly_one_disk,
    },
    Test {
        name: "only_the_web_ui_answers_on_the_management_port",
        about: "asks every TCP port of the guest from outside, before and after the setup",
        quick: false,
        run: network::only_the_web_ui_answers,
    },
    Test {
        name: "the_capture_port_says_nothing",
        about: "asks a capturing sensor for its address, speaks to it and asks it to forward, on the port that captures",
        quick: false,
        run: network::the_capture_port_says_nothing,
    },
    Test {
        name: "a_wrong_clock_is_told_by_the_probe",
        about: "starts with a clock that is years behind; the wizard's probe says so",
        quick: false,
        run: network::a_wrong_clock_is_told,
    },
];

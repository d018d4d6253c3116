// Generic rules of our own: few, cheap, and about form rather than about families. They name what an analyst should look
// at; they do not replace a rule feed.

private rule Is_PE
{
    meta:
        author = "Tenrec"
        description = "A PE file by its two signatures"
    condition:
        uint16(0) == 0x5A4D and uint32(0x3C) < filesize and uint32(uint32(0x3C)) == 0x00004550
}

rule PE_Packed_UPX : packer
{
    meta:
        author = "Tenrec"
        description = "A Windows program packed with UPX"
    strings:
        $section = "UPX0" ascii
        $magic = "UPX!" ascii
    condition:
        Is_PE and $section in (0..4096) and $magic
}

rule PE_Double_Extension : lure
{
    meta:
        author = "Tenrec"
        description = "A Windows program whose version resource or debug path carries a document's name"
    strings:
        $name = /[A-Za-z0-9_ \-]{1,64}\.(pdf|docx?|xlsx?|jpe?g|png|txt)\.(exe|scr|com|pif)/ nocase
    condition:
        Is_PE and $name
}

rule Script_PowerShell_Hidden_Encoded : script
{
    meta:
        author = "Tenrec"
        description = "A PowerShell call that hides its window and runs encoded commands"
    strings:
        $powershell = "powershell" nocase ascii wide
        $hidden = /-w(indowstyle)?\s+hidden/ nocase ascii wide
        $encoded = /-e(nc|ncodedcommand)?\s+[A-Za-z0-9+\/=]{40}/ nocase ascii wide
    condition:
        filesize < 5MB and all of them
}

rule Office_AutoOpen_Shell : macro
{
    meta:
        author = "Tenrec"
        description = "An Office document with a macro that runs when it is opened and starts programs"
    strings:
        $ole = { D0 CF 11 E0 A1 B1 1A E1 }
        $auto1 = "AutoOpen" nocase ascii wide
        $auto2 = "Document_Open" nocase ascii wide
        $auto3 = "Workbook_Open" nocase ascii wide
        $shell1 = "WScript.Shell" nocase ascii wide
        $shell2 = "ShellExecute" nocase ascii wide
        $shell3 = "CreateObject" nocase ascii wide
    condition:
        $ole at 0 and any of ($auto*) and any of ($shell*)
}

rule PDF_OpenAction_JavaScript : document
{
    meta:
        author = "Tenrec"
        description = "A PDF that runs JavaScript when it is opened"
    strings:
        $open = "/OpenAction"
        $script = "/JavaScript"
        $js = "/JS"
    condition:
        uint32(0) == 0x46445025 and $open and ($script or $js)
}

rule ELF_Reverse_Shell_Strings : shell
{
    meta:
        author = "Tenrec"
        description = "A Linux program with the strings of a reverse shell"
    strings:
        $tcp = "/dev/tcp/" ascii
        $shell = "/bin/sh" ascii
        $interactive = "-i >&" ascii
    condition:
        uint32(0) == 0x464C457F and $shell and ($tcp or $interactive)
}

rule Web_Shell_PHP_Eval_Request : webshell
{
    meta:
        author = "Tenrec"
        description = "PHP that evaluates what a request brings"
    strings:
        $php = "<?php" nocase
        $eval = /(eval|assert|system|passthru|shell_exec)\s*\(\s*(base64_decode\s*\(\s*)?\$_(GET|POST|REQUEST|COOKIE)/ nocase
    condition:
        filesize < 1MB and $php and $eval
}

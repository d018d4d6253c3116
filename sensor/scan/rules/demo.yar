// Harmless rules: they show that the way from the wire to the verdict works.

rule Tenrec_Demo_Marker : demo harmless
{
    meta:
        author = "Tenrec"
        description = "The marker of make demo: no threat, proof that files are carved and scanned"
    strings:
        $marker = "TENREC-DEMO-HARMLESS-MARKER" ascii wide
    condition:
        $marker
}

rule EICAR_Test_File : test harmless
{
    meta:
        author = "Tenrec"
        description = "The EICAR anti-virus test file: no threat, every scanner reports it"
        reference = "EICAR test file, 2003 definition: 68 bytes at the begin, then white space up to 128"
    strings:
        $eicar = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    condition:
        $eicar at 0 and filesize <= 128
}
